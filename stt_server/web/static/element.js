// Elements, made and found.

export const $ = (id) => document.getElementById(id);

export function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Say it in the page's alert; null takes it away.
export function alarm(sentence) {
  $("alert").textContent = sentence ?? "";
  $("alert").hidden = !sentence;
}
