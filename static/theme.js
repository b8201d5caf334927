// Before the first paint: the visitor's own choice of theme, where there is one.
try {
  const theme = localStorage.getItem("espalier.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // No storage here: the system's theme it is.
}
