"""Two small pages that need no other file: the login, and the list of routes."""

from __future__ import annotations

from string import Template

LOGIN_TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Log in to JAVIS",
        "name": "Name",
        "password": "Password",
        "button": "Log in",
        "wrong_login": "The name or the password is wrong.",
        "too_many_logins": "Too many wrong passwords. Try again in {seconds} seconds.",
    },
    "ko": {
        "title": "JAVIS 로그인",
        "name": "이름",
        "password": "비밀번호",
        "button": "로그인",
        "wrong_login": "이름 또는 비밀번호가 맞지 않습니다.",
        "too_many_logins": "비밀번호를 너무 많이 틀렸습니다. {seconds}초 뒤에 다시 시도해 주세요.",
        "long_login": "이름 또는 비밀번호가 너무 깁니다.",
    },
}

_STYLE = """
:root { color-scheme: light dark; --back: #f5f7f7; --card: #fff; --text: #1c2322; --soft: #5d6b69;
  --line: #d5dedc; --accent: #0b6e66; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --back: #141918; --card: #1d2423; --text: #e8eeed;
  --soft: #9aaba8; --line: #33403e; --accent: #4fb8ad; --bad: #ff8a80; } }
* { box-sizing: border-box; }
a { color: var(--accent); }
body { margin: 0; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans KR", sans-serif; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
"""

LOGIN_PAGE = Template(
    """<!doctype html>
<html lang="$lang"><head><meta charset="utf-8"><title>$title</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><style>"""
    + _STYLE
    + """
body { min-height: 100dvh; display: grid; place-items: center; padding: 16px; }
form { width: min(360px, 100%); display: grid; gap: 16px; padding: 32px; background: var(--card);
  border: 1px solid var(--line); border-radius: 16px; }
h1 { margin: 0; font-size: 20px; }
label { display: grid; gap: 4px; color: var(--soft); font-size: 14px; }
label[hidden] { display: none; }
input { padding: 10px 12px; font: inherit; color: var(--text); background: var(--back);
  border: 1px solid var(--line); border-radius: 8px; }
button { padding: 11px; font: inherit; font-weight: 600; color: var(--card); cursor: pointer;
  background: var(--accent); border: 0; border-radius: 8px; }
.error { margin: 0; color: var(--bad); }
</style></head><body>
<form method="post" action="/login"><h1>$title</h1>$message
<label $name_hidden>$name<input name="name" autocomplete="username" maxlength="64"
 autocapitalize="none" spellcheck="false"></label>
<label>$password<input name="password" type="password" autocomplete="current-password"
 required autofocus maxlength="1024"></label>
<input type="hidden" name="next" value="$next">
<button>$button</button></form></body></html>
"""
)

DOCS_PAGE = (
    """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>JAVIS: HTTP routes</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><style>"""
    + _STYLE
    + """
main { max-width: 880px; margin: 0 auto; padding: 32px 16px; }
details { margin: 8px 0; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; }
summary { display: flex; gap: 12px; align-items: baseline; padding: 10px 14px; cursor: pointer;
  flex-wrap: wrap; }
summary b { min-width: 64px; color: var(--accent); }
summary span { color: var(--soft); font-size: 14px; }
.inside { padding: 0 14px 14px; }
table { width: 100%; border-collapse: collapse; font-size: 14px; }
td, th { padding: 6px 8px; text-align: left; vertical-align: top;
  border-top: 1px solid var(--line); }
pre { overflow: auto; padding: 12px; background: var(--back); border-radius: 8px; font-size: 13px; }
h2 { margin: 28px 0 8px; font-size: 16px; color: var(--soft); }
</style></head><body><main><h1>JAVIS: HTTP routes</h1>
<p>Described by <a href="/openapi.json">/openapi.json</a>. Examples are in docs/api.md.</p>
<div id="routes">Loading …</div></main><script>
"use strict";
const make = (tag, text, ...inside) => {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  element.append(...inside);
  return element;
};
const named = (spec, schema) => schema && schema.$ref
  ? spec.components.schemas[schema.$ref.split("/").pop()] : schema || {};
const kind = (spec, schema) => {
  const it = named(spec, schema);
  if (it.anyOf) return it.anyOf.map((one) => kind(spec, one)).join(" or ");
  if (it.enum) return it.enum.map((one) => JSON.stringify(one)).join(" or ");
  if (it.type === "array") return "list of " + kind(spec, it.items);
  return it.title && it.type === "object" ? it.title : it.type || "anything";
};
const row = (spec, name, schema, needed) => make("tr", "", make("td", name),
  make("td", kind(spec, schema) + (needed ? "" : ", optional")),
  make("td", named(spec, schema).description || schema.description || ""));
const fields = (spec, operation) => {
  const table = make("table");
  for (const one of operation.parameters || [])
    table.append(row(spec, one.name + " (" + one.in + ")", one.schema || {}, one.required));
  const content = operation.requestBody && operation.requestBody.content["application/json"];
  const body = content ? named(spec, content.schema) : {};
  for (const [name, schema] of Object.entries(body.properties || {}))
    table.append(row(spec, name, schema, (body.required || []).includes(name)));
  return table;
};
const curl = (method, path) => "curl "
  + (method === "get" ? "" : "-X " + method.toUpperCase() + " ") + location.origin + path
  + (method === "post" || method === "patch"
  ? " -H 'Content-Type: application/json' -d '{…}'" : "");
fetch("/openapi.json").then((answer) => answer.json()).then((spec) => {
  const groups = new Map();
  for (const [path, methods] of Object.entries(spec.paths))
    for (const [method, operation] of Object.entries(methods)) {
      const tag = (operation.tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(make("details", "", make("summary", "",
        make("b", method.toUpperCase()), make("code", path), make("span", operation.description)),
        Object.assign(make("div", "", fields(spec, operation), make("pre", curl(method, path))),
          { className: "inside" })));
    }
  const routes = document.getElementById("routes");
  routes.textContent = "";
  for (const [tag, items] of groups) routes.append(make("h2", tag), ...items);
}).catch((error) => {
  document.getElementById("routes").textContent = "The routes cannot be shown: " + error;
});
</script></body></html>
"""
)
