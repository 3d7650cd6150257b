// Brings a drawing to the form of MNIST's images: the rules of data/preparation.py for a picture of more than 112
// pixels, with its names and numbers. What a camera adds (noise, uneven light, ruled lines) a drawing does not have,
// and its margin keeps ink from the border, so that the steps which look for those would change nothing.
// An image is { width, height, values }, rows from the top, ink from 0 to 255; that of a drawing is a Float64Array.
const SIDE = 28;
const BOX = 20; // pixels of the longer side of the digit
const BOXES = [18, 21]; // of an image that is in the form already
const CENTRE = 14; // row and column of the centre of mass
const LEAST = 30; // ink
const FULL = 245; // ink at least as dark is left as it is
const FAINT = 6; // a pixel of at least this belongs to the box of a small image
const HALF = 128; // the same for the blurred edges of a drawing
const HAZE = 12; // as near to paper or ink, a pixel is paper or ink

// The drawing as 784 pixels, or null where there is no ink.
function asMnist(drawing) {
  if (!drawing.values.some((value) => value >= LEAST)) return null;
  const box = around(drawing);
  const ink = crop(drawing, box);
  const mark = digit(ink);
  const width = strokeWidth(mark.mask);
  const isThin = width < 0.08 * mark.size;
  const digitAlone = strokes(ink, mark, isThin ? (0.12 * mark.size - width) / 2 : 0);
  return centred(pasted(digitAlone, box, drawing)).values;
}

// The box of all ink, and what strokes can grow into: the rest of the paper stays empty, and need not be looked at.
function around(drawing) {
  const box = boxOf(drawing, 1);
  const growth = Math.ceil(0.06 * Math.max(box.width, box.height)) + 2;
  const left = Math.max(box.left - growth, 0);
  const top = Math.max(box.top - growth, 0);
  const width = Math.min(box.left + box.width + growth, drawing.width) - left;
  const height = Math.min(box.top + box.height + growth, drawing.height) - top;
  return { left, top, width, height };
}

const map = (image, f) => ({ ...image, values: image.values.map(f) });
const largest = (values) => values.reduce((a, b) => Math.max(a, b), 0);

// As NumPy and Python round: halves to the even number.
function rounded(x) {
  const floor = Math.floor(x);
  return floor + (x - floor > 0.5 || (x - floor === 0.5 && floor % 2 !== 0) ? 1 : 0);
}

function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

// --- the digit among other marks ---

// The heaviest mark, with what belongs to it, such as the bar of a 5: its pixels, and the longer side of its own box.
function digit(ink) {
  let found = marks(ink, LEAST);
  const strong = quantile(ink.values.filter((_, i) => found.labels[i] === found.main), 0.95);
  found = marks(ink, Math.max(LEAST, 0.4 * strong));
  const main = { ...ink, values: found.labels.map((label) => (label === found.main ? 1 : 0)) };
  const box = boxOf(main, 1);
  const size = Math.max(box.width, box.height);
  if (found.masses.length === 1) return { mask: main, size };

  const gaps = found.masses.map(() => Infinity);
  const distance = distances(main);
  found.labels.forEach((label, i) => {
    if (label) gaps[label - 1] = Math.min(gaps[label - 1], distance[i]);
  });
  const belongs = found.masses.map((mass, i) => {
    const share = mass / found.masses[found.main - 1];
    return i + 1 === found.main || (share > 0.02 && gaps[i] <= (share < 0.5 ? 0.25 : 0.1) * size + 1);
  });
  return { mask: { ...ink, values: found.labels.map((label) => (label && belongs[label - 1] ? 1 : 0)) }, size };
}

// The number of the mark at each pixel, from 1 (0: none), the marks' masses, and the number of the heaviest. Pixels
// that meet in a corner are connected.
function marks({ width, height, values }, least) {
  const labels = new Int32Array(values.length);
  const masses = [];
  const open = [];
  const visit = (i) => {
    labels[i] = masses.length;
    masses[masses.length - 1] += values[i];
    open.push(i);
  };
  for (let start = 0; start < values.length; start++) {
    if (labels[start] || values[start] < least) continue;
    masses.push(0);
    visit(start);
    while (open.length) {
      const i = open.pop();
      const column = i % width;
      const row = (i - column) / width;
      for (let y = Math.max(row - 1, 0); y <= Math.min(row + 1, height - 1); y++) {
        for (let x = Math.max(column - 1, 0); x <= Math.min(column + 1, width - 1); x++) {
          const other = y * width + x;
          if (!labels[other] && values[other] >= least) visit(other);
        }
      }
    }
  }
  return { labels, masses, main: masses.indexOf(largest(masses)) + 1 };
}

// --- strokes as MNIST's ---

// The mean width: in a long stroke, pixels are on average a quarter of it from its edge.
function strokeWidth(mask) {
  const depth = distances({ ...mask, values: mask.values.map((inside) => 1 - inside) }); // 0 outside
  const sum = depth.reduce((a, b) => a + b, 0);
  const n = mask.values.reduce((a, b) => a + b, 0);
  return 4 * (sum / n - 0.5);
}

// The digit's ink alone, at full contrast, its strokes wider by so many pixels on either side.
function strokes(ink, mark, growth) {
  const distance = distances(mark.mask);
  const peak = quantile(ink.values.filter((_, i) => mark.mask.values[i]), 0.9);
  const contrast = peak < FULL ? 255 / peak : 1;
  const reach = Math.max(2, 0.08 * mark.size);
  return map(ink, (value, i) => {
    const alone = distance[i] <= reach ? value * contrast : 0;
    const grown = growth ? 255 * Math.min(Math.max(growth + 1 - distance[i], 0), 1) : 0;
    return Math.min(Math.max(alone, grown), 255);
  });
}

// The distance from each pixel to the nearest one of the mask: along the columns, then along the rows as the lowest of
// parabolas (Felzenszwalb and Huttenlocher, Theory of Computing 8, 2012).
function distances({ width, height, values }) {
  const far = width + height;
  const inColumn = new Float64Array(values.length);
  for (let x = 0; x < width; x++) {
    let distance = far;
    for (let i = x; i < values.length; i += width) {
      distance = values[i] ? 0 : distance + 1;
      inColumn[i] = distance;
    }
    distance = far;
    for (let i = values.length - width + x; i >= 0; i -= width) {
      distance = values[i] ? 0 : distance + 1;
      inColumn[i] = Math.min(inColumn[i], distance);
    }
  }
  const result = new Float64Array(values.length);
  const lowest = new Int32Array(width); // the columns of the parabolas that are lowest somewhere
  const from = new Float64Array(width + 1); // where each of them begins to be
  for (let start = 0; start < values.length; start += width) {
    const height = (x) => inColumn[start + x] ** 2 + x * x;
    let n = 0;
    lowest[0] = 0;
    from[0] = -Infinity;
    for (let x = 1; x < width; x++) {
      let crossing;
      while ((crossing = (height(x) - height(lowest[n])) / (2 * (x - lowest[n]))) <= from[n]) n--;
      lowest[++n] = x;
      from[n] = crossing;
    }
    from[n + 1] = Infinity;
    for (let x = 0, k = 0; x < width; x++) {
      while (from[k + 1] < x) k++;
      result[start + x] = Math.sqrt((x - lowest[k]) ** 2 + inColumn[start + lowest[k]] ** 2);
    }
  }
  return result;
}

// --- size and place ---

// The digit at its size and place in 28 x 28; where reducing the whole drawing does that, nothing more.
function centred(ink) {
  const whole = resized(ink, SIDE, SIDE);
  if (isInForm(whole)) return whole;
  const clear = map(ink, (value) => Math.min(Math.max((value - HAZE) * (255 / (255 - 2 * HAZE)), 0), 255));
  const part = crop(clear, boxOf(clear, HALF));
  const longer = Math.max(part.width, part.height);
  const [width, height] = [part.width, part.height].map((side) => Math.max(1, rounded((side * BOX) / longer)));
  let small = resized(part, width, height);
  const most = largest(small.values);
  if (most < 250) small = resized(map(part, (value) => value * (255 / most)), width, height);
  const middle = centreOfMass(small);
  const left = Math.min(Math.max(rounded(CENTRE - middle.x), 0), SIDE - width);
  const top = Math.min(Math.max(rounded(CENTRE - middle.y), 0), SIDE - height);
  return pasted(small, { left, top }, whole);
}

// Whether 28 x 28 pixels are as MNIST's.
function isInForm(image) {
  if (largest(image.values) < FULL) return false;
  const box = boxOf(image, FAINT);
  const longer = Math.max(box.width, box.height);
  const middle = centreOfMass(image);
  const off = Math.max(Math.abs(middle.x - CENTRE), Math.abs(middle.y - CENTRE));
  return BOXES[0] <= longer && longer <= BOXES[1] && off <= 0.5;
}

// The place and size of what is between the outermost pixels of at least this ink.
function boxOf({ width, values }, least) {
  let [left, right, top, bottom] = [Infinity, -1, Infinity, -1];
  for (let i = 0; i < values.length; i++) {
    if (values[i] < least) continue;
    const x = i % width;
    left = Math.min(left, x);
    right = Math.max(right, x);
    bottom = (i - x) / width;
    top = Math.min(top, bottom);
  }
  return { left, top, width: right - left + 1, height: bottom - top + 1 };
}

function crop(image, { left, top, width, height }) {
  const values = new Float64Array(width * height);
  for (let y = 0; y < height; y++) {
    const start = (top + y) * image.width + left;
    values.set(image.values.subarray(start, start + width), y * width);
  }
  return { width, height, values };
}

// An empty image as large as another, with a part at its place.
function pasted(part, { left, top }, { width, height }) {
  const values = new part.values.constructor(width * height);
  for (let y = 0; y < part.height; y++) {
    values.set(part.values.subarray(y * part.width, (y + 1) * part.width), (top + y) * width + left);
  }
  return { width, height, values };
}

function centreOfMass({ width, values }) {
  let [mass, x, y] = [0, 0, 0];
  values.forEach((value, i) => {
    mass += value;
    x += value * (i % width);
    y += value * Math.floor(i / width);
  });
  return { x: x / mass, y: y / mass };
}

// --- another size, as Pillow does it ---

const box = { support: 0.5, at: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) };
const bicubic = {
  support: 2,
  at: (x) => {
    const a = Math.abs(x);
    if (a < 1) return (1.5 * a - 2.5) * a * a + 1;
    return a < 2 ? ((-0.5 * a + 2.5) * a - 4) * a + 2 : 0;
  },
};

// The mean of what falls into a pixel, or a smooth curve through fewer pixels; rounded to whole numbers.
function resized(image, width, height) {
  const filter = height <= image.height ? box : bicubic;
  const narrow = { ...image, width, values: new Float32Array(width * image.height) };
  weightsOf(filter, image.width, width).forEach(({ first, weights }, x) => {
    for (let y = 0; y < image.height; y++) {
      narrow.values[y * width + x] = weights.reduce((sum, w, i) => sum + w * image.values[y * image.width + first + i], 0);
    }
  });
  const small = { width, height, values: new Uint8Array(width * height) };
  weightsOf(filter, image.height, height).forEach(({ first, weights }, y) => {
    for (let x = 0; x < width; x++) {
      const value = weights.reduce((sum, w, i) => sum + w * narrow.values[(first + i) * width + x], 0);
      small.values[y * width + x] = rounded(Math.min(Math.max(Math.fround(value), 0), 255));
    }
  });
  return small;
}

// For each of `after` pixels, the first of the `before` pixels that it is made of, and their weights.
function weightsOf(filter, before, after) {
  const scale = before / after;
  const stretch = Math.max(scale, 1);
  return Array.from({ length: after }, (_, i) => {
    const middle = (i + 0.5) * scale;
    const first = Math.max(Math.trunc(middle - filter.support * stretch + 0.5), 0);
    const end = Math.min(Math.trunc(middle + filter.support * stretch + 0.5), before);
    const weights = Array.from({ length: end - first }, (_, j) => filter.at((first + j - middle + 0.5) / stretch));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}
