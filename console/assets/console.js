// The pages work without this script; it spares the reader some clicks.
"use strict";

// The first log-in: the secret stands behind the # of the address, which a
// browser sends to nobody.
const secret = document.querySelector("[data-from-fragment]");
const takeSecret = () => {
  if (location.hash.length < 2) return;
  secret.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  document.getElementById("name").focus();
};
if (secret) {
  takeSecret();
  addEventListener("hashchange", takeSecret); // the link was opened where the page was open already
}

// A part of the page that is renewed while it is looked at, unless somebody is
// reading in it with the keyboard, has marked something, or holds it still.
const live = document.querySelector("[data-renew]");
if (live) {
  const still = document.querySelector("[data-still]");
  still.hidden = false;
  still.addEventListener("click", () => still.setAttribute("aria-pressed", String(still.getAttribute("aria-pressed") !== "true")));
  const renew = async () => {
    const busy = live.contains(document.activeElement) || String(getSelection()) !== "" || still.getAttribute("aria-pressed") === "true";
    if (!document.hidden && !busy) {
      try {
        const answer = await fetch(live.dataset.renew, { redirect: "error" });
        if (answer.ok) live.innerHTML = await answer.text();
      } catch { /* the next beat tries again */ }
    }
    setTimeout(renew, 2000);
  };
  setTimeout(renew, 2000);
}

// A page that waits for something.
const waiting = document.querySelector("[data-reload]");
if (waiting) setTimeout(() => location.reload(), Number(waiting.dataset.reload));

// On a narrow screen the pages stand in a row that scrolls.
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
