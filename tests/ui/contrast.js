// What cannot be read well: texts whose colour is closer to what is behind them than WCAG 2.2 allows (1.4.3).
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = (top, below) => [0, 1, 2].map((at) => top[at] * top[3] + below[at] * (1 - top[3]));
  const luminance = (colour) => {
    const linear = colour.slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const behind = (node) => {
    const layers = [];
    for (let one = node; one; one = one.parentElement) layers.unshift(rgba(getComputedStyle(one).backgroundColor));
    return layers.reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const found = new Set();
  let seen = 0;
  for (const node of document.querySelectorAll("body *")) {
    const field = node.matches("input:not([type=range], [type=checkbox], [type=radio], [type=file]), textarea");
    const written = [...node.childNodes].some((one) => one.nodeType === 3 && one.textContent.trim());
    const box = node.getBoundingClientRect();
    if (!(field || written) || box.width < 2 || box.height < 2) continue;
    if (!node.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || node.closest(":disabled")) continue;
    const style = getComputedStyle(node);
    const size = parseFloat(style.fontSize);
    const wanted = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    const back = behind(node);
    const colours = field && node.placeholder ? [style.color, getComputedStyle(node, "::placeholder").color] : [style.color];
    for (const colour of colours) {
      seen += 1;
      const [dark, light] = [luminance(over(rgba(colour), back)), luminance(back)].sort((one, two) => one - two);
      const ratio = (light + 0.05) / (dark + 0.05);
      const name = `${node.tagName}.${node.className} ${(node.textContent || node.placeholder).trim().slice(0, 30)}`;
      if (ratio < wanted) found.add(`${ratio.toFixed(2)} ${name}`);
    }
  }
  return { seen, found: [...found] };
}
