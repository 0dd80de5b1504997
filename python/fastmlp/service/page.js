"use strict";

const byId = (id) => document.getElementById(id);
const form = byId("row");
const file = byId("image");

// Fields are sent as text, so that a number is read as it was typed.
function requestOf() {
  if (file && file.files.length > 0) {
    return { type: file.files[0].type, body: file.files[0], shown: file.files[0].name };
  }
  const list = byId("numbers");
  let body;
  if (list) {
    const text = list.value.trim();
    const row = text.startsWith("[") ? text : "[" + text.split(/[\s,;]+/).join(", ") + "]";
    body = '{"rows": [' + row + "]}";
  } else {
    const row = {};
    for (const field of form.querySelectorAll("[data-column]")) {
      row[field.dataset.column] = field.value === "" ? null : field.value;
    }
    body = JSON.stringify({ rows: [row] });
  }
  return { type: "application/json", body: body, shown: body };
}

function cell(text, kind) {
  const made = document.createElement("td");
  made.className = kind;
  made.textContent = text;
  return made;
}

function show(answer) {
  const place = byId("answer");
  const table = byId("probabilities");
  table.replaceChildren();
  const problem = answer.error || answer.problem;
  place.className = problem ? "bad" : "";
  if (problem) {
    place.textContent = problem;
    return;
  }
  const value = answer.prediction;
  if (Array.isArray(value)) {
    place.textContent = value.length > 0 ? value.join(", ") : "none of the labels";
  } else if (value !== null && typeof value === "object") {
    place.textContent = Object.entries(value).map(([name, one]) => name + ": " + one).join("\n");
  } else {
    place.textContent = String(value);
  }
  const shares = Object.entries(answer.probabilities || {});
  shares.sort((one, other) => other[1] - one[1]);
  for (const [name, share] of shares.slice(0, 20)) {
    const line = document.createElement("tr");
    const bar = document.createElement("progress");
    bar.value = share === null ? 0 : share;
    const place = cell("", "bar");
    place.append(bar);
    const number = share === null ? "" : (100 * share).toFixed(2) + " %";
    line.append(cell(name, "name"), place, cell(number, "number"));
    table.append(line);
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = byId("send");
  const request = requestOf();
  button.disabled = true;
  byId("result").hidden = false;
  byId("sent").textContent = request.shown;
  try {
    const response = await fetch("predict", {
      method: "POST", headers: { "Content-Type": request.type }, body: request.body,
    });
    const answer = await response.json();
    byId("received").textContent = JSON.stringify(answer, null, 2);
    show(response.ok ? answer.rows[0] : answer);
  } catch (error) {
    byId("received").textContent = "";
    show({ error: "no answer: " + error.message });
  } finally {
    button.disabled = false;
  }
});

if (file) {
  file.addEventListener("change", () => {
    const picture = byId("picture");
    picture.hidden = file.files.length === 0;
    if (file.files.length > 0) {
      picture.src = URL.createObjectURL(file.files[0]);
    }
  });
}
