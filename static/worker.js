// An engine worker: the page hands over the compiled module once, then speaks to the engine.
self.onmessage = async ({ data }) => {
  self.onmessage = null;
  const { default: init } = await import(data.js);
  // The engine sets `onmessage` and answers "ready".
  await init({ module_or_path: data.module });
};
// A rejected promise is no "error" event of the worker; make it one, so that the page hears of it.
self.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  setTimeout(() => {
    throw event.reason;
  });
});
