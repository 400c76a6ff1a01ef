// How likely a token was, as one of six shades on two scales. Goes before what shows tokens, in the same function.
const CHANCES = [0.9, 0.7, 0.5, 0.25, 0.1]; // a probability of at least so much has the shade of its place
const SURPRISES = [1, 2, 4, 6, 9]; // so has a surprise of less than so many bits

function shades(hundredths) {
  const bits = hundredths / 100;
  const chance = CHANCES.findIndex((least) => 2 ** -bits >= least);
  const surprise = SURPRISES.findIndex((most) => bits < most);
  return `sd-chance-${chance < 0 ? 5 : chance} sd-surprise-${surprise < 0 ? 5 : surprise}`;
}
