// What the evidence panel says back.
const vscode = acquireVsCodeApi();

document.addEventListener("click", (event) => {
  const { command, place } = event.target.dataset ?? {};
  if (command) {
    vscode.postMessage({ command });
  } else if (place) {
    event.preventDefault();
    vscode.postMessage({ command: "open", place });
  }
});
