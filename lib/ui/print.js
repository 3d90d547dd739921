// A chart is drawn for the screen's width; a view box lets print.css fit it to the paper's.
addEventListener("beforeprint", () => {
  for (const chart of document.querySelectorAll(".js-plotly-plot .svg-container")) {
    chart.style.aspectRatio = `${chart.clientWidth} / ${chart.clientHeight}`;
    for (const svg of chart.querySelectorAll(".main-svg")) {
      svg.setAttribute("viewBox", `0 0 ${chart.clientWidth} ${chart.clientHeight}`);
    }
  }
});
addEventListener("afterprint", () => {
  for (const chart of document.querySelectorAll(".js-plotly-plot .svg-container")) {
    chart.style.aspectRatio = "";
    for (const svg of chart.querySelectorAll(".main-svg")) svg.removeAttribute("viewBox");
  }
});
