// The OpenAPI document as a page: every operation, and every schema that it names.

import { HOME, below } from "./address.js";
import { fetchWithin } from "./browser.js";
import { REQUEST_TIMEOUT } from "./signalling.js";
import { UNREACHABLE } from "./words.js";

const [operations, schemas] = ["operations", "schemas"].map((id) => document.getElementById(id));

fetchWithin(REQUEST_TIMEOUT, below(HOME, "api/openapi.json"))
  .then((response) => response.json())
  .then(show)
  .catch(() => (operations.textContent = UNREACHABLE));

function show({ paths, components }) {
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(methods)) operations.append(operationOf(method, path, operation));
  }
  for (const [name, schema] of Object.entries(components.schemas)) schemas.append(schemaOf(name, schema));
  document.querySelector(location.hash || "main")?.scrollIntoView(); // what the address names was not there before
}

function operationOf(method, path, { summary, requestBody, responses }) {
  const section = document.createElement("section");
  section.append(element("h3", `${method.toUpperCase()} ${path}`), element("p", summary));
  const list = section.appendChild(document.createElement("dl"));
  for (const [type, { schema }] of Object.entries(requestBody?.content ?? {})) add(list, `body, ${type}`, typeOf(schema));
  for (const [status, { content }] of Object.entries(responses)) {
    const [type, body] = Object.entries(content ?? {})[0] ?? [];
    if (type !== "application/problem+json") add(list, status, body ? [`${type}: `, ...typeOf(body.schema)] : ["nothing"]);
  }
  const refusals = Object.keys(responses).filter((status) => status >= "400");
  if (refusals.length) add(list, "refusals", [refusals.join(", ")]);
  return section;
}

function schemaOf(name, { description = "", properties = {}, required = [] }) {
  const section = document.createElement("section");
  section.id = name;
  section.append(element("h3", name), element("p", description));
  const list = section.appendChild(document.createElement("dl"));
  for (const [key, value] of Object.entries(properties)) {
    const more = [required.includes(key) ? "" : ", may be left out", value.description ? `: ${value.description}` : ""];
    add(list, key, [...typeOf(value), more.join("")]);
  }
  return section;
}

/** A schema in a few words and links. */
function typeOf(schema) {
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    const link = element("a", name);
    link.setAttribute("href", `#${name}`);
    return [link];
  }
  if (schema.anyOf) return schema.anyOf.flatMap((each, at) => (at ? [" or ", ...typeOf(each)] : typeOf(each)));
  if (schema.enum) return [`one of ${schema.enum.join(", ")}`];
  if (schema.type === "array") return ["list of ", ...typeOf(schema.items ?? {})];
  return [schema.format ?? schema.type ?? "anything"];
}

function add(list, name, parts) {
  const meaning = document.createElement("dd");
  meaning.append(...parts);
  list.append(element("dt", name), meaning);
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
