// Before the first paint: the theme that this browser chose last; without one, the system's.
"use strict";
{
  const chosen = localStorage.getItem("nearbit-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
