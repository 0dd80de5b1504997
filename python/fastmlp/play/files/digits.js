// The page of digits: a board to draw on, the opinion of the network, its units and its training.

import {
  Address, Code, Session, Speaker, addressOf, byId, colors, connectRun, connectSettings, decoded,
  onColors, openAddress, paint, percent, refuse, show, showLosses, showSettings,
  spokenLosses, startsStroke,
} from "/files/common.js";
import { drawCurve } from "/files/curve.js";

const SIDE = 28;
const INK = Uint32Array.from({ length: 256 }, (_, value) => (255 << 24) | (value * 0x010101));
const speaker = new Speaker();
let frame = null;
let trainedOn = 0;
let asked = null; // the last image, which another session is asked about too
let awaitsImage = false; // a test image, which the board shows when it has come

const session = new Session("digits", { onStart: begin, onFrame: next, onSettings: settle });
const address = new Address(session, () => addressOf(session.confirmed, session.place, { speed: session.speed }));
const code = new Code(session);

connectRun(session);
connectSettings(session);
byId("hidden").addEventListener("change", (event) => {
  const field = event.target;
  if (field.value !== "" && field.checkValidity()) session.change({ hidden: field.value.split(",").map(Number) });
  else {
    refuse("Hidden units: one to three widths from 2 to 128, such as 32, 16");
    showFields();
  }
});

// ---------------------------------------------------------------- the board

const board = byId("drawing-board");
const pen = board.getContext("2d", { willReadFrequently: true });
let last = null;

function clear() {
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, board.width, board.height);
  byId("draw-here").hidden = false;
}

function placeOf(event) {
  const box = board.getBoundingClientRect();
  return [
    ((event.clientX - box.left) / box.width) * board.width,
    ((event.clientY - box.top) / box.height) * board.height,
  ];
}

function stroke(to) {
  byId("draw-here").hidden = true;
  pen.strokeStyle = "#fff";
  pen.lineWidth = 9;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  pen.moveTo(...last);
  pen.lineTo(...to);
  pen.stroke();
  last = to;
}

board.addEventListener("pointerdown", (event) => {
  if (!startsStroke(event)) return;
  event.preventDefault();
  board.setPointerCapture(event.pointerId);
  last = placeOf(event);
  stroke(last);
  askAboutDrawing();
});
board.addEventListener("pointermove", (event) => {
  if (!last || !event.isPrimary) return;
  stroke(placeOf(event));
  askAboutDrawing();
});
for (const kind of ["pointerup", "pointercancel"]) {
  board.addEventListener(kind, (event) => {
    if (!event.isPrimary) return;
    if (last) askAboutDrawing();
    last = null;
  });
}
byId("clear").addEventListener("click", () => {
  clear();
  ask({});
});
clear();

function askAboutDrawing() {
  const { data } = pen.getImageData(0, 0, board.width, board.height);
  ask({ pixels: Array.from({ length: data.length / 4 }, (_, i) => data[4 * i]) });
}

// Sends the newest question, and no other while one is on its way.
let waiting = null;
let isAsking = false;

async function ask(question) {
  waiting = question;
  if (isAsking) return;
  isAsking = true;
  while (waiting) {
    asked = waiting;
    waiting = null;
    await session.sendUnasked("look", asked);
  }
  isAsking = false;
}

function showImage() {
  const field = byId("test-image");
  if (field.value === "" || !field.checkValidity()) {
    refuse("test image: must be a number from 0 to 9999");
    return;
  }
  awaitsImage = true;
  ask({ test: field.valueAsNumber });
}

byId("show-image").addEventListener("click", showImage);
byId("next-image").addEventListener("click", () => {
  const field = byId("test-image");
  field.value = ((field.valueAsNumber || 0) + 1) % 10000;
  showImage();
});

// ---------------------------------------------------------------- pictures

function tiles(list, images, labels, table, caption) {
  while (list.children.length > labels.length) list.lastChild.remove();
  while (list.children.length < labels.length) {
    const tile = document.createElement("li");
    tile.append(document.createElement("canvas"), document.createElement("span"));
    list.append(tile);
  }
  labels.forEach((label, i) => {
    const [canvas, text] = list.children[i].children;
    canvas.setAttribute("aria-hidden", "true");
    paint(canvas, images.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE), table);
    const words = caption(label, i);
    if (text.textContent !== words) text.textContent = words;
  });
}

function buildBars() {
  for (let digit = 0; digit < 10; digit += 1) {
    const name = document.createElement("span");
    name.textContent = digit;
    const bar = document.createElement("div");
    bar.className = "bar";
    bar.append(document.createElement("div"));
    const share = document.createElement("span");
    share.className = "share";
    byId("bars").append(name, bar, share);
  }
}

function showOpinion(opinion) {
  const cells = byId("bars").children;
  const shares = opinion ? opinion.probabilities : Array(10).fill(0);
  const best = shares.indexOf(Math.max(...shares));
  shares.forEach((share, digit) => {
    const [name, bar, text] = [0, 1, 2].map((i) => cells[3 * digit + i]);
    name.classList.toggle("best", opinion !== null && digit === best);
    bar.firstChild.style.width = `${100 * share}%`;
    text.textContent = opinion ? percent(share) : "";
  });
  paint(byId("seen"), opinion ? decoded(opinion.image) : new Uint8Array(SIDE * SIDE), INK);
  if (awaitsImage && opinion && opinion.label !== null) {
    awaitsImage = false;
    byId("draw-here").hidden = true;
    pen.imageSmoothingEnabled = false;
    pen.drawImage(byId("seen"), 0, 0, board.width, board.height);
  }
  byId("verdict").textContent = opinion
    ? `It says ${best}, with a probability of ${percent(shares[best])}.`
      + (opinion.label === null ? "" : ` The label of the image is ${opinion.label}.`)
    : "Draw a digit, or show a test image.";
  return opinion ? `The network says ${best}, ${percent(shares[best])}. ` : "";
}

// ---------------------------------------------------------------- what the server says

function showFields() {
  showSettings(session.settings);
  show("hidden", session.settings.hidden.join(", "));
}

// After a change, also one that was refused: the fields and the address tell what is in use.
function settle() {
  showFields();
  address.changed();
}

function begin(start) {
  showFields();
  trainedOn = start.counts[0];
  tiles(byId("samples"), decoded(start.samples.images), start.samples.labels, INK, String);
  if (asked) ask(asked);
}

function next(came) {
  frame = came;
  showLosses(frame);
  show("speed", frame.speed);
  draw();
  const said = showOpinion(frame.opinion);
  if (frame.examples === null) byId("examples").replaceChildren();
  else if (frame.examples) {
    tiles(byId("examples"), decoded(frame.examples.images), frame.examples.labels, INK, String);
  }
  const seen = frame.epoch * trainedOn + Math.round((frame.step / frame.steps) * trainedOn);
  byId("trained-on").textContent = frame.epoch + frame.step
    ? `${trainedOn.toLocaleString("en")} images of MNIST; so far it has seen ${seen.toLocaleString("en")} images, `
      + `in ${frame.epoch.toLocaleString("en")} complete ${frame.epoch === 1 ? "pass" : "passes"} over all`
      + `${frame.step ? " and a part of the next one" : ""}. Some of them:`
    : `Nothing yet: its weights are random numbers. Press Play to train it on ${trainedOn.toLocaleString("en")} `
      + "images of MNIST, such as these:";
  const isActive = frame.playing || frame.busy;
  speaker.say(said + spokenLosses(frame), isActive);
  address.changed();
  if (!isActive) code.refresh();
}

function draw() {
  const count = session.settings.hidden[0];
  const active = frame.opinion?.hidden[0];
  tiles(byId("units"), decoded(frame.templates), Array.from({ length: count }, (_, i) => i), colors.ramp,
    (unit) => (active ? active[unit].toFixed(1).replace("-", "−") : ""));
  drawCurve(byId("curve"), frame.curve);
}

onColors(() => { if (frame) draw(); });
buildBars();
openAddress(session);
