// The page of the plane: controls, drawings and the session.

import {
  Address, Code, Session, Speaker, addressOf, byId, connectField, connectRun, connectSettings, copy,
  decoded, facts, onColors, openAddress, refuse, show, showLosses, showSettings,
  spokenLosses, tell,
} from "/files/common.js";
import { drawCurve } from "/files/curve.js";
import { Network } from "/files/network.js";
import { Plane } from "/files/plane.js";

const speaker = new Speaker();
let frame = null;

const session = new Session("playground", { onStart: begin, onFrame: next, onSettings: settle });
const address = new Address(session, () => addressOf(session.confirmed, session.place, {
  speed: session.speed,
  lines: byId("lines").value === "gradient" && "gradient",
  points: byId("show-test").checked ? "" : "training",
}));
const plane = new Plane(byId("plane"), addPoint);
const network = new Network({
  onFeatures: (changed) => {
    const features = changed(session.settings.features);
    if (features.length) session.change({ features });
    else refuse("The network needs an input: choose another one before this one is left out.");
  },
  onHidden: (changed) => session.change({ hidden: changed(session.settings.hidden) }),
  onLook: drawPlane,
});

// ---------------------------------------------------------------- settings

connectRun(session);
connectSettings(session);
byId("speed").addEventListener("change", () => address.changed());

byId("data").addEventListener("change", (event) => {
  const data = event.target.value;
  const known = facts.losses[facts.values.includes(data) ? 1 : 0];
  const loss = session.settings.loss in known ? session.settings.loss : Object.keys(known)[0];
  const part = { data, loss };
  if (data === "drawn" && session.settings.drawn.length === 0) part.drawn = FIRST_POINTS;
  session.change(part);
});
connectField(session, "loss", (field) => session.change({ loss: field.value }));
connectField(session, "data_seed", (field) => session.change({ data_seed: field.valueAsNumber }));
for (const name of ["samples", "noise", "share"]) {
  const field = byId(name);
  field.addEventListener("input", () => showRange(name));
  field.addEventListener("change", () => session.change({ [name]: field.valueAsNumber }));
}

function showRange(name) {
  const value = byId(name).value;
  byId(`${name}-shown`).textContent = name === "share" ? `${value} %` : value;
}

// ---------------------------------------------------------------- points of one's own

const MOST_POINTS = 500;
const FIRST_POINTS = [
  { x1: -3, x2: 2, label: 0 }, { x1: -2, x2: 3, label: 0 }, { x1: 2, x2: -3, label: 0 },
  { x1: 3, x2: -2, label: 0 }, { x1: -3, x2: -2, label: 1 }, { x1: -2, x2: -3, label: 1 },
  { x1: 2, x2: 3, label: 1 }, { x1: 3, x2: 2, label: 1 },
];

function addPoint(place) {
  const label = Number(document.querySelector("[name=label]:checked").value);
  setPoints([...session.settings.drawn, { ...place, label }]);
}

function setPoints(drawn) {
  if (drawn.length <= MOST_POINTS) session.change({ drawn });
  else refuse(`There may be ${MOST_POINTS} points: Undo or Clear makes room for others.`);
}

byId("add-point").addEventListener("click", () => {
  const [x1, x2] = ["point-x1", "point-x2"].map((id) => byId(id).valueAsNumber);
  if ([x1, x2].every((value) => Math.abs(value) <= 6)) addPoint({ x1, x2 });
  else refuse("A point needs two numbers from -6 to 6.");
});
byId("undo-point").addEventListener("click", () => {
  if (session.settings.drawn.length) setPoints(session.settings.drawn.slice(0, -1));
  else refuse("There is no point.");
});
byId("clear-points").addEventListener("click", () => setPoints([]));

// ---------------------------------------------------------------- what the server says

function showFields() {
  const { settings } = session;
  showSettings(settings);
  for (const name of ["data", "samples", "noise", "share", "data_seed"]) show(name, settings[name]);
  for (const name of ["samples", "noise", "share"]) showRange(name);
  byId("made").hidden = settings.data === "drawn";
  byId("drawing").hidden = settings.data !== "drawn";
  showLossesOf(settings);
}

// After a change, also one that was refused: the fields and the address tell what is in use.
function settle() {
  showFields();
  address.changed();
}

function begin(start) {
  showFields();
  showClasses(start.classes);
  plane.begin(start);
  network.begin(start);
}

function showLossesOf(settings) {
  const known = facts.losses[facts.values.includes(settings.data) ? 1 : 0];
  const field = byId("loss");
  field.replaceChildren(...Object.entries(known).map(([name, title]) => new Option(title, name)));
  field.value = settings.loss;
}

function showClasses(classes) {
  const place = byId("classes");
  if (classes === 0) {
    const scale = document.createElement("i");
    scale.className = "scale";
    place.replaceChildren("−1", scale, "1");
    return;
  }
  place.replaceChildren(...["A", "B", "C"].slice(0, classes).map((name) => {
    const entry = document.createElement("span");
    const dot = document.createElement("i");
    dot.className = `dot ${name}`;
    entry.append(dot, `class ${name}`);
    return entry;
  }));
}

function next(came) {
  frame = came;
  frame.regions = decoded(frame.region);
  showLosses(frame);
  tell("lack", frame.loss ? "" : frame.problem);
  show("speed", frame.speed);
  network.show(frame);
  drawPlane();
  drawCurve(byId("curve"), frame.curve);
  if (frame.findings) showFindings(frame.findings);
  const isActive = frame.playing || frame.busy;
  speaker.say(spokenLosses(frame), isActive);
  address.changed();
  if (!isActive) code.refresh();
}

function drawPlane() {
  if (!frame) return;
  plane.show(frame.regions, network.picture);
  byId("output-title").textContent = network.title;
}

function showFindings(findings) {
  const lines = findings.map((finding) => {
    const line = document.createElement("li");
    line.className = finding.level;
    const code = document.createElement("b");
    code.textContent = finding.code.replaceAll("-", " ");
    line.append(code, `: ${finding.message}. Cure: ${finding.cure}.`);
    return line;
  });
  if (lines.length === 0) {
    const line = document.createElement("li");
    line.textContent = "Nothing to report.";
    lines.push(line);
  }
  const list = byId("findings");
  const text = lines.map((line) => line.textContent).join();
  if (list.dataset.text !== text) {
    list.dataset.text = text;
    list.replaceChildren(...lines);
  }
}

// ---------------------------------------------------------------- the code

const code = new Code(session, (came) => {
  byId("command").textContent = came.command || came.reason;
  byId("copy-command").disabled = !came.command;
  for (const part of ["train", "test"]) byId(`${part}-csv`).href = session.path(`${part}.csv`);
});
byId("copy-command").addEventListener("click", (event) => copy(event.target, byId("command")));
byId("show-test").addEventListener("change", showPoints);
byId("lines").addEventListener("change", () => address.changed());

function showPoints() {
  plane.showsTest = byId("show-test").checked;
  drawPlane();
  address.changed();
}

onColors(() => {
  if (!frame) return;
  network.paintInputs();
  network.draw();
  drawPlane();
  drawCurve(byId("curve"), frame.curve);
});

// ---------------------------------------------------------------- begin

openAddress(session, { lines: ["weight", "gradient"], points: ["training"] }, (query) => {
  byId("lines").value = query.get("lines") === "gradient" ? "gradient" : "weight";
  byId("show-test").checked = query.get("points") !== "training";
  plane.showsTest = byId("show-test").checked;
});
