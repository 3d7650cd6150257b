// "Draw a digit": what is drawn is brought to the form of MNIST's images (asMnist in preparation.js), the network of the
// page answers, and what it sees, its outputs and the units of its first layer are shown. Without scripts that part stays
// hidden, and a sentence is there instead.
const MARGIN = 10; // pixels of the canvas that stay paper on each side

// --- the network ---

const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

// Its layers, from the bytes that bench/records/quantised.py describes.
function layersOf(base64, sizes) {
  const { buffer } = bytesOf(base64);
  let start = 0;
  return sizes.slice(1).map((fanOut, i) => {
    const fanIn = sizes[i];
    const view = new DataView(buffer, start, 16 * fanOut);
    const float64 = (_, unit) => view.getFloat64(8 * unit, true);
    const both = Array.from({ length: 2 * fanOut }, float64);
    const steps = new Int8Array(buffer, start + 16 * fanOut, fanIn * fanOut);
    start += fanOut * (16 + fanIn);
    return { fanIn, scales: both.slice(0, fanOut), biases: both.slice(fanOut), steps };
  });
}

const activations = {
  sigmoid: (z) => z.map((value) => 1 / (1 + Math.exp(-value))),
  relu: (z) => z.map((value) => Math.max(value, 0)),
  tanh: (z) => z.map(Math.tanh),
  softmax: (z) => {
    const most = Math.max(...z);
    const powers = z.map((value) => Math.exp(value - most));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
  },
};

// The activations of each layer for an image of 784 pixels; the last are the outputs.
function activationsOf({ hidden, output, pixel_scale: scale }, layers, image) {
  let before = Array.from(image, (pixel) => pixel * scale);
  return layers.map(({ fanIn, scales, biases, steps }, i) => {
    const z = biases.map((bias, unit) => {
      let sum = 0;
      for (let k = 0, at = unit * fanIn; k < fanIn; k++, at++) sum += before[k] * steps[at];
      return sum * scales[unit] + bias;
    });
    before = activations[i === layers.length - 1 ? output : hidden](z);
    return before;
  });
}

// --- what is shown ---

const part = document.getElementById("draw");
const find = (selector) => part.querySelector(selector);
const network = JSON.parse(part.dataset.network);
const stages = network.stages.map((base64) => layersOf(base64, network.sizes));
const paper = find("#paper");
const pen = paper.getContext("2d", { willReadFrequently: true });
const rows = [...part.querySelectorAll(".outputs tr")].map((row) => ({
  row,
  bar: row.querySelector("i"),
  value: row.querySelector(".value"),
}));
const cells = [...part.querySelectorAll(".units i")];
const testDigits = bytesOf(network.digits);
let stage = stages.length - 1;
let image = null; // 784 pixels, or null where nothing is drawn
let last = null; // the end of the stroke so far, or null between strokes
const frame = new Path2D(); // in which one can draw
frame.rect(MARGIN, MARGIN, paper.width - 2 * MARGIN, paper.height - 2 * MARGIN);

function answer() {
  drawImage(find("#seen"), image ?? new Uint8Array(SIDE * SIDE));
  const layers = image ? activationsOf(network, stages[stage], image) : [];
  const outputs = layers.at(-1) ?? [];
  const isKnown = outputs.length && outputs.every(Number.isFinite);
  const most = isKnown ? outputs.indexOf(Math.max(...outputs)) : -1;
  const longest = Math.max(1, ...(isKnown ? outputs : []));
  rows.forEach(({ row, bar, value }, digit) => {
    row.classList.toggle("most", digit === most);
    bar.style.transform = `scaleX(${isKnown ? outputs[digit] / longest : 0})`;
    value.textContent = isKnown ? outputs[digit].toFixed(3) : "–";
  });
  say(find("#answer"), isKnown ? `It says ${most}` : image ? "It says nothing: its outputs are no finite numbers" : "");
  showUnits(layers.length > 1 ? layers[0] : []);
}

// A live region is read out whenever it is set, so it is set only where it changes.
function say(element, text) {
  const words = text || element.dataset.empty;
  if (element.textContent !== words) element.textContent = words;
}

// A cell has the more colour, the further the unit's activation is from 0.
function showUnits(fired) {
  const strongest = network.hidden === "relu" ? Math.max(...fired, 1e-9) : 1;
  cells.forEach((cell, unit) => {
    const value = (fired[unit] ?? 0) / strongest;
    cell.style.setProperty("--fired", Math.abs(value).toFixed(3));
    cell.classList.toggle("below", value < 0);
  });
  const least = network.hidden === "sigmoid" ? 0.5 : 0;
  const n = fired.filter((value) => value > least).length;
  if (cells.length) find("#fired").textContent = `${n} of ${cells.length} units fire`;
}

// White ink on black, as the network has it.
function drawImage(canvas, pixels) {
  const drawing = canvas.getContext("2d");
  const shades = drawing.createImageData(SIDE, SIDE);
  pixels.forEach((pixel, i) => shades.data.set([pixel, pixel, pixel, 255], 4 * i));
  drawing.putImageData(shades, 0, 0);
}

// --- drawing ---

function wipe() {
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, paper.width, paper.height);
  image = null;
}

// The ink of the canvas, which is black on white.
function inkOf({ width, height }) {
  const { data } = pen.getImageData(0, 0, width, height);
  return { width, height, values: new Float64Array(width * height).map((_, i) => 255 - data[4 * i]) };
}

// Where the pointer is, in pixels of the canvas.
function placeOf(event) {
  const place = paper.getBoundingClientRect();
  const scale = paper.width / place.width;
  return [(event.clientX - place.left) * scale, (event.clientY - place.top) * scale];
}

function startStroke(event) {
  if (event.button || !event.isPrimary) return;
  paper.setPointerCapture(event.pointerId);
  forgetChoice();
  last = placeOf(event);
  draw(event);
}

function draw(event) {
  if (!last || !event.isPrimary) return;
  const between = event.getCoalescedEvents?.() ?? [];
  const line = new Path2D();
  line.moveTo(...last);
  line.lineTo(last[0] + 0.01, last[1]); // a line of no length would leave no dot
  for (const one of between.length ? between : [event]) line.lineTo(...(last = placeOf(one)));
  pen.save();
  pen.clip(frame);
  pen.lineWidth = find("#pen").value;
  pen.stroke(line);
  pen.restore();
  image = asMnist(inkOf(paper));
  answer();
}

function endStroke(event) {
  if (event.isPrimary) last = null;
}

function forgetChoice() {
  for (const choice of part.querySelectorAll("[name=test-digit]")) choice.checked = false;
}

// A test image, enlarged. The network gets it as it is; one can go on drawing in it.
function showTestDigit(number) {
  wipe();
  image = testDigits.subarray(number * SIDE * SIDE, (number + 1) * SIDE * SIDE);
  const side = paper.width / SIDE;
  image.forEach((pixel, i) => {
    pen.fillStyle = `rgb(${255 - pixel} ${255 - pixel} ${255 - pixel})`;
    pen.fillRect((i % SIDE) * side, Math.floor(i / SIDE) * side, side, side);
  });
  answer();
}

part.querySelectorAll("[name=test-digit]").forEach((choice, number) => {
  const pixels = testDigits.subarray(number * SIDE * SIDE, (number + 1) * SIDE * SIDE);
  drawImage(choice.nextElementSibling, pixels);
  choice.addEventListener("change", () => showTestDigit(number));
});
part.querySelectorAll("[name=stage]").forEach((choice, number) => {
  choice.addEventListener("change", () => {
    stage = number;
    answer();
  });
});
find("#wipe").addEventListener("click", () => {
  forgetChoice();
  wipe();
  answer();
});
paper.addEventListener("pointerdown", startStroke);
paper.addEventListener("pointermove", draw);
paper.addEventListener("pointerup", endStroke);
paper.addEventListener("pointercancel", endStroke);
pen.lineCap = pen.lineJoin = "round";
document.getElementById("no-drawing").remove();
part.hidden = false;
wipe();
answer();
