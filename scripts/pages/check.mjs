// Opens pages in headless Chromium, at two widths, light and dark: no error, nothing fetched, no name that acts, nothing wider than the
// window, words for each figure, legends that work; axe finds nothing serious. With --shots DIR it takes pictures.
// usage: node check.mjs [--shots DIR] PAGE.html…       axe-core and ws are found in node_modules
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(path.join(process.cwd(), "package.json"));
const WebSocket = require("ws");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const pages = process.argv.slice(2);
const shots = pages[0] === "--shots" ? pages.splice(0, 2)[1] : null;

const browser = spawn("chromium", ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", `--user-data-dir=${mkdtempSync(path.join(tmpdir(), "pages-"))}`, "about:blank"], { stdio: ["ignore", "ignore", "pipe"] });
const address = await new Promise((resolve, reject) => {
  let said = "";
  browser.stderr.on("data", (data) => {
    said += data;
    const found = said.match(/DevTools listening on (ws:\S+)/);
    if (found) resolve(found[1]);
  });
  browser.on("exit", () => reject(new Error(`chromium did not start: ${said}`)));
});
const socket = new WebSocket(address);
await new Promise((resolve) => socket.on("open", resolve));
let number = 0;
const waiting = new Map();
const events = [];
socket.on("message", (text) => {
  const message = JSON.parse(text);
  if (message.id) waiting.get(message.id)(message);
  else events.push(message);
});
const send = (method, params = {}, sessionId = undefined) =>
  new Promise((resolve, reject) => {
    waiting.set(++number, (answer) => (answer.error ? reject(new Error(`${method}: ${answer.error.message}`)) : resolve(answer.result)));
    socket.send(JSON.stringify({ id: number, method, params, sessionId }));
  });

const problems = [];
for (const page of pages) {
  for (const [width, scheme] of [[1280, "light"], [1280, "dark"], [390, "light"], [390, "dark"]]) {
    const problem = (what) => problems.push(`${page}, ${width} pixels, ${scheme}: ${what}`);
    const { targetId } = await send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
    const ask = (method, params) => send(method, params, sessionId);
    const evaluate = async (expression) => {
      const { result, exceptionDetails } = await ask("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    };
    events.length = 0;
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await ask(`${domain}.enable`);
    await ask("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile: width < 500 });
    await ask("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
    const url = pathToFileURL(page).href;
    await ask("Page.navigate", { url });
    while (!events.some((event) => event.method === "Page.loadEventFired")) await new Promise((resolve) => setTimeout(resolve, 20));
    const seen = await evaluate(`({
      wide: document.documentElement.scrollWidth - innerWidth,
      figures: document.querySelectorAll("figure").length,
      described: [...document.querySelectorAll("figure svg")].filter((svg) => svg.getAttribute("aria-label")?.length > 40).length,
      foreign: document.querySelectorAll("script").length - 2 + document.querySelectorAll("img, iframe, object").length,
      title: document.title,
      tables: document.querySelectorAll("table").length,
      data: JSON.parse(document.getElementById("figures").textContent).length,
      height: document.documentElement.scrollHeight,
    })`);
    if (seen.foreign > 0 || seen.title === "ran") problem("a name from outside acts");
    if (seen.wide > 0) problem(`it is ${seen.wide} pixels wider than the window`);
    // A page of all benchmarks, or of a commit, is a table.
    const isTable = /history.(index|commits.[^/]*).html$/.test(page);
    if (!((seen.figures > 0 || (isTable && seen.tables > 0)) && seen.figures === seen.described && seen.figures === seen.data)) problem(`${seen.described} of ${seen.figures} figures have words, ${seen.data} have data`);
    const toggled = await evaluate(`(() => {
      const button = document.querySelector("figure .legend button");
      if (!button) return true;
      const of = () => [...button.closest("figure").querySelectorAll("svg g")].find((g) => g.dataset.series === button.dataset.series);
      button.click();
      const hidden = getComputedStyle(of()).display === "none";
      button.click();
      return hidden && getComputedStyle(of()).display !== "none";
    })()`);
    if (!toggled) problem("a legend does not hide its series");
    // What it looks at hangs on the colours and on the width, each seen in one of two.
    const isAsked = (width === 1280) === (scheme === "light");
    if (isAsked) await evaluate(axe);
    const found = !isAsked ? [] : await evaluate(`axe.run().then((all) => all.violations.filter((one) => ["serious", "critical"].includes(one.impact)).map((one) => one.id + ": " + one.nodes[0].html.slice(0, 200)))`);
    found.forEach((one) => problem(`axe: ${one}`));
    for (const { method, params } of events) {
      if (method === "Runtime.exceptionThrown") problem(`an error: ${params.exceptionDetails.text}`);
      if (method === "Runtime.consoleAPICalled" && params.type === "error") problem(`an error on the console`);
      if (method === "Log.entryAdded" && params.entry.level === "error") problem(`an error: ${params.entry.text}`);
      if (method === "Network.requestWillBeSent" && params.request.url !== url && !params.request.url.startsWith("data:")) problem(`it asks for ${params.request.url}`);
    }
    if (shots) {
      const { data } = await ask("Page.captureScreenshot", { captureBeyondViewport: true, clip: { x: 0, y: 0, width, height: Math.min(seen.height, 4000), scale: 1 } });
      writeFileSync(path.join(shots, `${page.replace(/\.html$/, "").split(path.sep).slice(-3).join("-")}-${width}-${scheme}.png`), Buffer.from(data, "base64"));
    }
    await send("Target.closeTarget", { targetId });
  }
}
browser.kill();
problems.forEach((problem) => console.error(problem));
console.log(`${pages.length} pages, ${problems.length} problems`);
process.exit(problems.length ? 1 : 0);
