// What both pages share: requests, the stream of a session, colors, numbers.

export const byId = (id) => document.getElementById(id);
export const facts = JSON.parse(document.body.dataset.facts);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// ---------------------------------------------------------------- requests

class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw new Refusal(response.status, answer.error);
  return answer;
}

const posted = (body) => ({
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

// The page tells of the last action alone: the answer to an earlier one comes too late.
let actions = 0;

function newAction() {
  actions += 1;
  tell("problem", "");
  return actions;
}

export function refuse(text) {
  newAction();
  tell("problem", text);
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// A session of this tab. It outlives the server: another one gets the settings and the place of
// the last frame, and the training is the same again, bit for bit.
export class Session {
  constructor(kind, { onStart, onFrame }) {
    this.kind = kind;
    this.onStart = onStart;
    this.onFrame = onFrame;
    this.settings = this.confirmed = facts.defaults;
    this.version = this.confirmedVersion = 0;
    this.last = Promise.resolve(); // of what was sent
    this.pending = 0; // settings that are on their way
    this.place = { epoch: 0, step: 0 };
    this.speed = null;
    this.openings = 0;
    addEventListener("pagehide", () => this.end());
    addEventListener("pageshow", (event) => {
      if (event.persisted) this.open(this.settings, this.place);
    });
    // A tab that nobody sees trains nothing, and leaves its connection to others.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.rest();
      else if (this.name && !this.source && !this.isSearching) this.listen();
    });
  }

  async open(settings, place) {
    this.end();
    this.openings += 1;
    const opening = this.openings;
    const query = new URLSearchParams(place);
    const slow = setTimeout(() => tell("connection", "The server prepares the data."), 800);
    let answer;
    try {
      answer = await ask(`/sessions/${this.kind}?${query}`, posted(settings));
    } finally {
      clearTimeout(slow);
    }
    if (opening !== this.openings) return endOf(answer.session); // another one began meanwhile
    this.name = answer.session;
    this.settings = this.confirmed = settings;
    this.version = this.confirmedVersion = 0;
    this.place = place;
    if (this.speed) await this.sendUnasked("order", { order: "speed", speed: this.speed });
    this.listen();
  }

  listen() {
    const source = new EventSource(`/sessions/${this.name}/events?fps=${calm.matches ? 4 : 30}`);
    this.source = source;
    source.addEventListener("start", (event) => {
      const start = JSON.parse(event.data);
      this.confirmed = start.settings;
      this.confirmedVersion = start.version;
      this.takeConfirmed();
      this.onStart(start);
    });
    source.addEventListener("frame", (event) => {
      const frame = JSON.parse(event.data);
      this.place = { epoch: frame.epoch, step: frame.step };
      this.isPlaying = frame.playing;
      tell("connection", "");
      this.onFrame(frame);
    });
    source.addEventListener("failure", (event) => {
      this.isPlaying = false;
      showProblemOfTraining(JSON.parse(event.data).problem);
    });
    source.addEventListener("error", () => {
      if (this.source === source) this.findAgain();
    });
  }

  rest() {
    this.source?.close();
    this.source = null;
  }

  // The stream has ended: the server is gone, or the session.
  async findAgain() {
    this.rest();
    this.isSearching = true;
    for (let wait = 300; ; wait = Math.min(2000, 2 * wait)) {
      try {
        await this.continueOrOpen();
        this.isSearching = false;
        return;
      } catch (error) {
        tell("connection", error.status
          ? `The server refuses: ${error.message}. Trying again.`
          : "The server does not answer. This page tries again until it does.");
      }
      await pause(wait);
    }
  }

  async continueOrOpen() {
    try {
      await ask(this.path("state"));
      this.listen();
    } catch (error) {
      if (error.status !== 404) throw error;
      const wasPlaying = this.isPlaying;
      await this.open(this.settings, this.place);
      if (wasPlaying) await this.sendUnasked("order", { order: "play" });
    }
  }

  path(what) {
    return pathOf(this.name, what);
  }

  // Sends one after the other; returns the answer, or null after telling why there is none.
  send(what, body) {
    const action = newAction();
    return this.queue(what, body, (text) => { if (action === actions) tell("problem", text); });
  }

  // Sends what is no action of a person.
  sendUnasked(what, body) {
    return this.queue(what, body, () => {});
  }

  queue(what, body, onProblem) {
    const sent = this.last.then(() => this.post(what, body, onProblem));
    this.last = sent;
    return sent;
  }

  async post(what, body, onProblem) {
    try {
      return await ask(this.path(what), posted(body));
    } catch (error) {
      // After an end of the session `findAgain` opens another one.
      if (error.status !== 404) onProblem(error.status ? error.message : "The server does not answer.");
      return null;
    }
  }

  // Settings count from the moment they are sent, so that quick changes add up.
  async put(settings, what, body) {
    this.settings = settings;
    this.pending += 1;
    const answer = await this.send(what, body);
    this.pending -= 1;
    if (answer) this.version = answer.version;
    this.takeConfirmed();
  }

  // The event that confirms a change may come before the answer to it.
  takeConfirmed() {
    if (this.pending === 0 && this.confirmedVersion >= this.version) this.settings = this.confirmed;
  }

  // The network begins anew with a change; the last phase counts from the start.
  change(part) {
    const phases = [{ ...this.settings.phases.at(-1), start: 0 }];
    const settings = { ...this.settings, phases, ...part };
    return this.put(settings, "settings", settings);
  }

  // The training goes on with a change of its last phase.
  tune(part) {
    const phases = [...this.settings.phases.slice(0, -1), { ...this.settings.phases.at(-1), ...part }];
    return this.put({ ...this.settings, phases }, "tune", part);
  }

  get(what) {
    return ask(this.path(what));
  }

  end() {
    if (!this.name) return;
    this.rest();
    endOf(this.name);
    this.name = null;
  }
}

const pathOf = (name, what) => `/sessions/${name}/${what}`;

function endOf(name) {
  fetch(pathOf(name, "end"), { ...posted({}), keepalive: true }).catch(() => {});
}

export function tell(id, text) {
  const place = byId(id);
  if (place.textContent !== text) place.textContent = text;
  place.hidden = text === "";
}

// ---------------------------------------------------------------- numbers and bytes

export function decoded(text, Kind = Uint8Array) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
  return Kind === Uint8Array ? bytes : new Kind(bytes.buffer);
}

export function shown(value, digits = 3) {
  if (value === null || value === undefined) return "not finite";
  return Number(value.toPrecision(digits)).toString().replace("-", "−");
}

export const percent = (share) => `${(100 * share).toFixed(1)} %`;

// ---------------------------------------------------------------- colors

export const colors = {};

function readColors() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["a", "b", "c", "paper", "ink", "soft", "line", "warn"]) {
    const text = style.getPropertyValue(`--${name}`).trim();
    colors[name] = [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  }
  colors.classes = [colors.a, colors.b, colors.c];
  colors.ramp = rampUpTo(1);
  colors.pale = rampUpTo(0.5);
  colors.regions = new Uint32Array(256);
  for (let value = 0; value < 256; value += 1) {
    const share = 0.06 + 0.4 * ((value & 63) / 63);
    const main = colors.classes[value >> 6];
    colors.regions[value] = packed(main ? mixed(colors.paper, main, share) : colors.soft);
  }
}

// From the color of A over that of the paper to the color of B, which has a share of it at the ends.
function rampUpTo(most) {
  return Uint32Array.from({ length: 256 }, (_, value) => {
    if (value === 0) return packed(colors.soft); // no finite number
    const share = most * Math.min(1, Math.abs(value - 128) / 127);
    return packed(mixed(colors.paper, value < 128 ? colors.a : colors.b, share));
  });
}

export const mixed = (from, to, share) => from.map((part, i) => part + (to[i] - part) * share);
export const css = (color) => `rgb(${color.map(Math.round).join(" ")})`;
const packed = ([red, green, blue]) =>
  (255 << 24) | (Math.round(blue) << 16) | (Math.round(green) << 8) | Math.round(red);

readColors();

export function onColors(draw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readColors();
    draw();
  });
}

// Draws bytes as a square picture; one pixel for each byte.
export function paint(canvas, bytes, table) {
  const side = Math.sqrt(bytes.length);
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const image = new ImageData(side, side);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < bytes.length; i += 1) pixels[i] = table[bytes[i]];
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// ---------------------------------------------------------------- speech

// Losses change 30 times a second; a screen reader hears them every few seconds, and at each end.
export class Speaker {
  constructor() {
    this.last = 0;
    this.wasActive = false;
  }

  say(text, isActive) {
    const now = performance.now();
    if (isActive && this.wasActive && now - this.last < 5000) return;
    this.last = now;
    this.wasActive = isActive;
    byId("spoken").textContent = text;
  }
}

export async function copy(button, text) {
  await navigator.clipboard.writeText(text);
  const before = button.textContent;
  button.textContent = "Copied";
  await pause(1500);
  button.textContent = before;
}

// ---------------------------------------------------------------- what both pages do alike

export function showLosses(frame) {
  byId("at").textContent = frame.epoch.toLocaleString("en");
  byId("batch-at").textContent = `${frame.step} of ${frame.steps}`;
  byId("train-loss").textContent = shown(frame.loss[0]);
  byId("test-loss").textContent = shown(frame.loss[1]);
  const [train, test] = frame.accuracy;
  for (const part of document.querySelectorAll(".shares")) part.hidden = train === undefined;
  if (train !== undefined) {
    byId("train-right").textContent = percent(train);
    byId("test-right").textContent = percent(test);
  }
  const play = byId("play");
  const text = frame.playing ? "Pause" : "Play";
  if (play.textContent !== text) play.textContent = text;
  showProblemOfTraining(frame.problem);
}

function showProblemOfTraining(text) {
  for (const name of ["play", "step", "epoch"]) byId(name).disabled = text !== "";
  tell("problem-of-training", text);
}

export function spokenLosses(frame) {
  const share = frame.accuracy.length ? `, test accuracy ${percent(frame.accuracy[1])}` : "";
  return `Epoch ${frame.epoch}: training loss ${shown(frame.loss[0])}, `
    + `test loss ${shown(frame.loss[1])}${share}`;
}

export function connectRun(session) {
  const order = (name) => session.send("order", { order: name });
  byId("play").addEventListener("click", () => order(session.isPlaying ? "pause" : "play"));
  for (const name of ["step", "epoch", "reset"]) {
    byId(name).addEventListener("click", () => order(name));
  }
  byId("speed").addEventListener("change", (event) => {
    session.speed = event.target.value;
    session.send("order", { order: "speed", speed: session.speed });
  });
}

// Settings of the network and its training, by the names of their fields.
const TUNED = ["learning_rate", "batch_size", "l2"];
const WITH_MOMENTUM = ["sgd", "rmsprop"];

export function showSettings(settings) {
  const phase = settings.phases.at(-1);
  for (const name of ["activation", "optimizer", "momentum", "dropout", "seed"]) {
    show(name, settings[name]);
  }
  for (const name of TUNED) show(name, phase[name]);
  show("initializer", settings.initializer ?? "");
  byId("batch_normalization").checked = settings.batch_normalization;
  byId("momentum").parentElement.hidden = !WITH_MOMENTUM.includes(settings.optimizer);
}

// A field in which somebody types, or a slider that somebody drags, keeps its value.
export function show(name, value) {
  const field = byId(name);
  if (document.activeElement === field && field.type !== "select-one") return;
  if (field.value !== String(value)) field.value = value;
}

// Begins anew with what `read` makes of a field, each time it is changed.
export function connectField(session, name, read) {
  byId(name).addEventListener("change", ({ target: field }) => {
    if (field.type === "number" && !(field.value !== "" && field.checkValidity())) {
      refuse(`${name.replaceAll("_", " ")}: ${field.validationMessage || "must be a number"}`);
      return;
    }
    session.change(read(field));
  });
}

export function connectSettings(session) {
  const listen = (name, read) => connectField(session, name, read);
  listen("activation", (field) => ({ activation: field.value }));
  listen("dropout", (field) => ({ dropout: Number(field.value) }));
  listen("momentum", (field) => ({ momentum: Number(field.value) }));
  listen("seed", (field) => ({ seed: Number(field.value) }));
  listen("initializer", (field) => ({ initializer: field.value || null }));
  listen("batch_normalization", (field) => ({ batch_normalization: field.checked }));
  listen("optimizer", (field) => {
    const phase = { ...session.settings.phases.at(-1), start: 0, learning_rate: facts.rates[field.value] };
    const momentum = WITH_MOMENTUM.includes(field.value) ? session.settings.momentum : 0;
    return { optimizer: field.value, momentum, phases: [phase] };
  });
  for (const name of TUNED) {
    byId(name).addEventListener("change", (event) => {
      const value = event.target.valueAsNumber;
      if (Number.isNaN(value)) refuse(`${name.replaceAll("_", " ")}: must be a number`);
      else session.tune({ [name]: value });
    });
  }
}

// ---------------------------------------------------------------- the code

// The panel with the program; `more` shows what else a page has of it.
export class Code {
  constructor(session, more = () => {}) {
    this.session = session;
    this.more = more;
    byId("code").addEventListener("toggle", () => this.refresh());
    byId("copy-python").addEventListener("click", (event) => copy(event.target, byId("python").textContent));
  }

  async refresh() {
    if (!byId("code").open) return;
    const code = await this.session.get("code");
    const step = code.step ? ` and ${code.step} batches` : "";
    byId("code-place").textContent = `${code.epoch.toLocaleString("en")} epochs${step}`;
    byId("digest").textContent = code.digest;
    byId("python").textContent = code.python;
    this.more(code);
  }
}

// ---------------------------------------------------------------- the address

const phaseText = (p) => [p.start, p.learning_rate, p.batch_size, p.l2].join(":");

function phaseOf(text) {
  const [start, learning_rate, batch_size, l2] = text.split(":").map(Number);
  return { start, learning_rate, batch_size, l2 };
}

const pointText = (p) => [p.x1, p.x2, p.label].join(":");

function pointOf(text) {
  const [x1, x2, label] = text.split(":").map(Number);
  return { x1, x2, label };
}

const LISTS = {
  phases: [phaseText, phaseOf],
  drawn: [pointText, pointOf],
  features: [String, String],
  hidden: [String, Number],
};

// The state as the part of the address after #, which the server never sees.
export function addressOf(settings, place, more) {
  const query = [];
  for (const [name, value] of Object.entries(settings)) {
    const text = name in LISTS ? value.map(LISTS[name][0]).join(",") : String(value);
    const usual = facts.defaults[name];
    const usualText = name in LISTS ? usual.map(LISTS[name][0]).join(",") : String(usual);
    if (text !== usualText) query.push(`${name}=${encodeURIComponent(text).replaceAll("%3A", ":").replaceAll("%2C", ",")}`);
  }
  for (const [name, value] of Object.entries({ ...place, ...more })) {
    if (value) query.push(`${name}=${value}`);
  }
  return `#${query.join("&")}`;
}

export function stateOf(address) {
  const query = new URLSearchParams(address.replace(/^#/, ""));
  const settings = { ...facts.defaults };
  for (const [name, text] of query) {
    const usual = facts.defaults[name];
    if (usual === undefined) continue;
    if (name in LISTS) settings[name] = text === "" ? [] : text.split(",").map(LISTS[name][1]);
    else if (typeof usual === "number") settings[name] = Number(text);
    else if (typeof usual === "boolean") settings[name] = text === "true";
    else settings[name] = text === "null" ? null : text;
  }
  const place = { epoch: Number(query.get("epoch") ?? 0), step: Number(query.get("step") ?? 0) };
  return { settings, place, speed: query.get("speed"), query };
}

// Writes the address, but no more than twice a second, of which browsers allow no more for long.
export class Address {
  constructor(text) {
    this.text = text;
    this.next = 0;
    addEventListener("pagehide", () => this.write());
  }

  changed() {
    const now = performance.now();
    if (now < this.next) {
      this.timer ??= setTimeout(() => this.write(), this.next - now);
    } else {
      this.write();
    }
  }

  write() {
    clearTimeout(this.timer);
    this.timer = null;
    this.next = performance.now() + 500;
    const text = this.text();
    if (text !== location.hash) history.replaceState(null, "", text || location.pathname);
  }
}

// Opens the session that the address describes, also when somebody edits it. `show` gets its other
// parts, of what the page shows.
export function openAddress(session, show = () => {}) {
  const open = async () => {
    const state = stateOf(location.hash);
    session.speed = state.speed;
    show(state.query);
    try {
      await session.open(state.settings, state.place);
    } catch (error) {
      if (error.status !== 422) {
        tell("connection", "");
        refuse(`${error.message} Reload this page to try again.`);
        return;
      }
      await session.open(facts.defaults, { epoch: 0, step: 0 });
      refuse(`The address is wrong, so this page begins with its usual settings. ${error.message}`);
    }
  };
  addEventListener("hashchange", open);
  open();
}
