// Where the nodes of a conversation's tree stand on a map. Goes before the script that draws it, in the same function.

// nodes: [{id, parent, …}], parents before their children; 0 is the beginning. path: ids on the line one stands on.
// Returns rows from the top: {node, lane, rails, side, leads, lit, onward}. The longest line below a node goes on in its
// lane, other lines come before it, one lane to the right: so even many versions stay near the margin. rails: lanes that
// pass by, lit where one's line does; side: whether it leaves the lane to the left; leads: whether anything follows.
function arrange(nodes, path) {
  const root = { id: 0, parent: null };
  const below = new Map([[0, []]]);
  for (const node of nodes) {
    below.set(node.id, []);
    below.get(node.parent).push(node);
  }
  const size = new Map();
  for (const node of [...nodes].reverse()) {
    size.set(node.id, 1 + below.get(node.id).reduce((sum, child) => sum + size.get(child.id), 0));
  }
  const rows = [];
  const waiting = [{ node: root, lane: 0, rails: [], side: false }];
  while (waiting.length) {
    const { node, lane, rails, side } = waiting.pop();
    const children = below.get(node.id);
    const main = children.reduce((best, child) => (best && size.get(best.id) > size.get(child.id) ? best : child), null);
    const on = (child) => child && path.has(child.id);
    rows.push({ node, lane, rails, side, leads: main !== null, lit: node === root ? path.size > 0 : path.has(node.id), onward: children.some(on) });
    if (!main) continue;
    const others = children.filter((child) => child !== main);
    // The last one put here is the first one drawn: the oldest.
    waiting.push({ node: main, lane, rails, side: false });
    for (let at = others.length - 1; at >= 0; at--) {
      const lit = [...others.slice(at + 1), main].some(on);
      waiting.push({ node: others[at], lane: lane + 1, rails: [...rails, { lane, lit }], side: true });
    }
  }
  return rows;
}
