// Before the first paint: the theme that this browser chose last, without one the system's; and which view begins.
"use strict";
{
  const chosen = localStorage.getItem("nearbit-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  // An address that names another view than the start: nothing of the start is painted first.
  if (/[?&](id|code|view)=/.test(location.search)) document.documentElement.dataset.begins = "elsewhere";
}
