"use strict";
// Draws the OpenAPI document. Text is always set as text, never as markup.
const make = (name, text, ...children) => {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  element.append(...children);
  return element;
};
const kind = (schema) => {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.oneOf || schema.anyOf) return (schema.oneOf || schema.anyOf).map(kind).join(" | ");
  if (schema.type === "array") return `[${kind(schema.items)}]`;
  return [].concat(schema.type || "any").join(" | ");
};
const table = (head, rows) => {
  const cells = (name, texts) => make("tr", "", ...texts.map((text) => make(name, text)));
  return make("table", "", make("thead", "", cells("th", head)), make("tbody", "", ...rows.map((row) => cells("td", row))));
};
const fields = (name, schema) => {
  const required = schema.required || [];
  const rows = Object.entries(schema.properties || {}).map(([field, of]) =>
    [field + (required.includes(field) ? "" : "?"), kind(of), of.description || ""]);
  return make("details", "", make("summary", name), make("p", schema.description), table(["field", "type", "meaning"], rows));
};
const route = (method, path, operation) => {
  const summary = make("summary", "", make("code", `${method.toUpperCase()} ${path}`), operation.summary || "");
  const box = make("details", "", summary, make("p", operation.description));
  box.id = operation.operationId;
  const parameters = (operation.parameters || []).map((p) =>
    [p.name, p.in, kind(p.schema), p.description || ""]);
  if (parameters.length) box.append(table(["parameter", "in", "type", "meaning"], parameters));
  const body = operation.requestBody;
  if (body) box.append(make("p", "Body: " + Object.values(body.content).map((media) => kind(media.schema)).join(", ")));
  const answers = Object.entries(operation.responses).map(([status, answer]) =>
    [status, Object.entries(answer.content || {}).map(([type, media]) => `${type} ${kind(media.schema)}`).join(", "), answer.description]);
  box.append(table(["status", "body", "meaning"], answers));
  return box;
};
const draw = (api) => {
  document.getElementById("about").textContent = `Version ${api.info.version}. ${api.info.description}`;
  const routes = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, operation })));
  const list = make("ul", "");
  const main = document.getElementById("routes");
  for (const tag of api.tags) {
    main.append(make("h2", tag.name), make("p", tag.description));
    for (const { method, path, operation } of routes.filter((one) => one.operation.tags.includes(tag.name))) {
      const link = make("a", `${method.toUpperCase()} ${path}`);
      link.href = `#${operation.operationId}`;
      list.append(make("li", "", link));
      main.append(route(method, path, operation));
    }
  }
  document.getElementById("index").append(list);
  main.append(make("h2", "Types"));
  for (const [name, schema] of Object.entries(api.components.schemas)) main.append(fields(name, schema));
};
const open = () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
};
addEventListener("hashchange", open);
fetch("/openapi.json").then((answer) => answer.json()).then(draw).then(open).catch((error) => {
  document.getElementById("about").textContent = `The document cannot be read: ${error}`;
});
