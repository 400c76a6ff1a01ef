// Runs once, as the body of a function of (element, trigger, props, server, watch).
const other = element.querySelector("button");
const language = document.documentElement.lang === "en" ? "zh-CN" : "en";
other.lang = language;
other.addEventListener("click", () => {
  const year = 365 * 24 * 3600;
  document.cookie = `seqdemo-language=${language}; path=/; max-age=${year}; samesite=lax`;
  location.reload();
});
