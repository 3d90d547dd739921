// An entry in the browser's history only for a step of the reader. Streamlit adds one whenever the
// server completes the address too, and Back would lead to addresses that were never on show.
(() => {
  let acted = false;
  for (const kind of ["pointerdown", "keydown"]) {
    document.addEventListener(kind, () => { acted = true; }, { capture: true, passive: true });
  }
  const push = history.pushState.bind(history);
  history.pushState = (...entry) => {
    if (acted) push(...entry);
    else history.replaceState(...entry);
    acted = false;
  };
})();
