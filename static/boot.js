// Starts the page's code. A file of its own, so that the page needs no inline script.
const { js, wasm } = document.getElementById("boot").dataset;
const say = (text) => {
  const place = document.getElementById("before-text");
  if (place) place.textContent = text;
};

// Why the GPU engine cannot be used here, or "": asked before anything of it is fetched. Burn's runtime needs
// these; without `timestamp-query` it panics, and it counts on the limits that WebGPU promises everyone.
globalThis.gpuRefusal = async () => {
  if (!navigator.gpu) return "this browser has no WebGPU";
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" }).catch(() => null);
  if (!adapter) return "this browser finds no graphics processor that it can use";
  if (!adapter.features.has("timestamp-query")) return "its driver cannot time its work (no timestamp-query)";
  if (adapter.limits.maxStorageBuffersPerShaderStage < 8 || adapter.limits.maxComputeInvocationsPerWorkgroup < 256)
    return "its limits are lower than WebGPU promises";
  return "";
};

try {
  const { default: init } = await import(new URL(js, document.baseURI));
  await init({ module_or_path: new URL(wasm, document.baseURI) });
} catch (error) {
  console.error(error);
  say(
    typeof WebAssembly === "undefined"
      ? "This browser has no WebAssembly, which Espalier computes with. Any browser since 2023 has it."
      : `The page's code could not start (${error.message ?? error}). Reload the page; if that does not help, your browser may lack WebAssembly SIMD, which every browser since 2023 has.`,
  );
}
