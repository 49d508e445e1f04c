// Small things of the page's controls: devices, theme, menus, the message box.
import { listMicrophones } from "../sdk/microphone.js";

const THEMES = ["system", "light", "dark"];

/** Fills the menu with the microphones there are; their names come with the first permission. */
export async function fillDevices(select, chosen) {
  const devices = (await listMicrophones().catch(() => [])).filter(({ deviceId }) => deviceId && deviceId !== "default");
  const options = devices.map(({ deviceId, label }, i) => new Option(label || `Microphone ${i + 1}`, deviceId));
  select.replaceChildren(new Option("System default", ""), ...options);
  select.value = devices.some(({ deviceId }) => deviceId === chosen) ? chosen : "";
}

export function showTheme(button, theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  button.textContent = `Theme: ${theme}`;
}

export function themeAfter(theme) {
  return THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
}

/** Escape and a click elsewhere close an open `<details>` menu; a choice does too. */
export function closeOnLeave(menu) {
  document.addEventListener("click", (event) => menu.contains(event.target) || (menu.open = false));
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
    event.stopPropagation();
  });
  menu.addEventListener("click", (event) => event.target.closest("button") && (menu.open = false));
}

/** Return sends, Shift and Return begin a new line. */
export function sendOnReturn(textarea, form) {
  textarea.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
}
