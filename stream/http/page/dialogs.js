// What the page asks: the service's token, and whether a stream is really to be reset. <dialog> keeps the focus inside.

import { Unreachable, onTokenWanted } from "./api.js";

const $ = (id) => document.getElementById(id);

/** Ask for the token where the service wants one, until it is right. */
export function wireToken() {
  onTokenWanted((refused, accepts) => {
    const dialog = $("token-dialog");
    return new Promise((resolve) => {
      const field = $("token");
      const tell = (text) => {
        $("token-error").textContent = text;
        field.setAttribute("aria-invalid", String(text !== ""));
      };
      tell(refused ? "The token that this page had is not accepted any more." : "");
      field.value = "";
      dialog.onclose = () => dialog.showModal(); // there is nothing to see without
      $("token-form").onsubmit = async (event) => {
        event.preventDefault();
        const secret = field.value.trim();
        try {
          if (!/^[\x21-\x7e]+$/.test(secret) || !(await accepts(secret))) {
            tell("This token is not accepted.");
            field.select();
            return;
          }
        } catch (error) {
          if (!(error instanceof Unreachable)) throw error;
          tell("The service does not answer. Try again.");
          return;
        }
        dialog.onclose = null;
        dialog.close();
        field.value = "";
        resolve(secret);
      };
      dialog.showModal();
    });
  });
}

/** Whether the person says yes. text: what a reset means here. */
export function confirmReset(key, text) {
  const dialog = $("reset-dialog");
  $("reset-key").textContent = key;
  $("reset-text").textContent = text;
  return new Promise((resolve) => {
    let yes = false;
    dialog.onclose = () => resolve(yes);
    $("reset-cancel").onclick = () => dialog.close();
    $("reset-form").onsubmit = (event) => {
      event.preventDefault();
      yes = true;
      dialog.close();
    };
    dialog.showModal();
    $("reset-cancel").focus();
  });
}
