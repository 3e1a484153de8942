// The one server of a window: found, started, restarted; its requests, and what it tells.

import { execFile } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import * as vscode from "vscode";
import type * as lsp from "vscode-languageclient/node";
import { LanguageClient, State } from "vscode-languageclient/node";

import type { Status, TestResults } from "../protocol";
import type { Reason } from "../statusText";
import { type Found, type Machine, type Problem, find } from "./binary";
import { type Actions, options } from "./options";

/** How long `--version` may take. */
const PATIENCE_MS = 10_000;

const machine: Machine = {
  exists: (file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false,
  version: (file) =>
    new Promise((resolve, reject) => {
      execFile(file, ["--version"], { timeout: PATIENCE_MS }, (error, stdout) =>
        error ? reject(error) : resolve(stdout),
      );
    }),
  path: (process.env.PATH ?? "").split(path.delimiter),
  windows: process.platform === "win32",
};

export class Server implements vscode.Disposable {
  private client: LanguageClient | undefined;
  private starting: Promise<void> = Promise.resolve();
  private readonly told = new Set<string>();
  private found: Found | undefined;
  private readonly statusEmitter = new vscode.EventEmitter<Status>();
  private readonly testsEmitter = new vscode.EventEmitter<TestResults>();
  private readonly problemEmitter = new vscode.EventEmitter<Reason | undefined>();

  readonly onStatus = this.statusEmitter.event;
  readonly onTests = this.testsEmitter.event;
  /** Why no server runs; `undefined` when one does. */
  readonly onProblem = this.problemEmitter.event;

  constructor(
    private readonly context: vscode.ExtensionContext,
    readonly output: vscode.LogOutputChannel,
    private readonly trace: vscode.LogOutputChannel,
    private readonly actions: Actions,
  ) {}

  /** The program in use. */
  get program(): string | undefined {
    return this.found?.ok ? this.found.program : undefined;
  }

  /** The problems that the person was told of. */
  get problems(): string[] {
    return [...this.told];
  }

  get version(): string {
    return (this.context.extension.packageJSON as { version: string }).version;
  }

  /** Starts, or starts again; one after the other. */
  start(): Promise<void> {
    this.starting = this.starting.then(() => this.startNow());
    return this.starting;
  }

  /** A person wants it: what was said before may be said again. */
  restart(): Promise<void> {
    this.told.clear();
    return this.start();
  }

  private async startNow(): Promise<void> {
    await this.stop();
    if (!vscode.workspace.workspaceFolders?.some((folder) => folder.uri.scheme === "file")) {
      const message = "Open a folder: Greenlit runs the tests of a project.";
      this.problemEmitter.fire({ message, idle: true });
      return;
    }
    const setting = vscode.workspace.getConfiguration("greenlit").get<string>("path");
    this.found = await find(machine, setting, this.context.extensionPath, this.version);
    if (!this.found.ok) {
      await this.fail(this.found.problem);
      return;
    }
    this.output.info(`${this.found.program} ${this.found.version}`);
    const { program } = this.found;
    const how = options(this.context, this.output, this.trace, this.actions, (why) =>
      this.fail({ message: why, ways: [] }),
    );
    const client = new LanguageClient(
      "greenlit",
      "Greenlit",
      { command: program, args: ["lsp"] },
      how,
    );
    client.registerFeature({
      fillClientCapabilities: (capabilities: lsp.ClientCapabilities) => {
        const own = capabilities.experimental as object | undefined;
        capabilities.experimental = { ...own, greenlitTestResults: true };
      },
      initialize: () => undefined,
      getState: () => ({ kind: "static" }),
      clear: () => undefined,
    });
    client.onNotification("greenlit/status", (status: Status) => this.statusEmitter.fire(status));
    client.onNotification("greenlit/testResults", (tests: TestResults) =>
      this.testsEmitter.fire(tests),
    );
    this.client = client;
    this.problemEmitter.fire(undefined);
    try {
      await client.start();
    } catch (error) {
      await this.fail({ message: `the server did not start: ${String(error)}`, ways: [] });
    }
  }

  private async stop(): Promise<void> {
    const { client } = this;
    this.client = undefined;
    if (client && client.state !== State.Stopped) {
      try {
        await client.dispose();
      } catch (error) {
        this.output.debug(`the server did not end well: ${String(error)}`);
      }
    }
  }

  /** Each problem is shown once; the status bar keeps it. */
  private async fail({ message, ways }: Problem): Promise<void> {
    this.output.error(message);
    this.problemEmitter.fire({ message, idle: false });
    if (this.told.has(message)) {
      return;
    }
    this.told.add(message);
    const words = { settings: "Open Settings", install: "How to Install" };
    const buttons = [...ways.map((way) => words[way]), "Try Again"];
    // Nobody waits for the answer.
    void vscode.window.showErrorMessage(`Greenlit: ${message}.`, ...buttons).then((answer) => {
      if (answer === words.settings) {
        void vscode.commands.executeCommand("workbench.action.openSettings", "greenlit.path");
      } else if (answer === words.install) {
        void vscode.env.openExternal(
          vscode.Uri.parse("https://github.com/greenlit/greenlit#in-your-editor"),
        );
      } else if (answer === "Try Again") {
        void this.restart();
      }
    });
  }

  /** Asks the server. What fails is said to the person, and the answer is `undefined`. */
  async request<T>(
    method: string,
    params: unknown,
    token?: vscode.CancellationToken,
  ): Promise<T | undefined> {
    try {
      return await this.ask<T>(method, params, token);
    } catch (error) {
      if (!token?.isCancellationRequested) {
        void vscode.window.showWarningMessage(words(error));
      }
      return undefined;
    }
  }

  /** Asks the server; rejects with what it says. */
  async ask<T>(method: string, params: unknown, token?: vscode.CancellationToken): Promise<T> {
    const { client } = this;
    if (client?.state !== State.Running) {
      throw new Error("the server does not run");
    }
    // A second parameter that is `undefined` would be sent as one.
    return token
      ? client.sendRequest<T>(method, params, token)
      : client.sendRequest<T>(method, params);
  }

  get runs(): boolean {
    return this.client?.state === State.Running;
  }

  async execute<T>(command: string, args: unknown[] = []): Promise<T | undefined> {
    return this.request<T>("workspace/executeCommand", { command, arguments: args });
  }

  async toWorkspaceEdit(edit: lsp.WorkspaceEdit): Promise<vscode.WorkspaceEdit | undefined> {
    return this.client?.protocol2CodeConverter.asWorkspaceEdit(edit);
  }

  dispose(): Thenable<void> {
    return this.stop();
  }
}

/** An error in words for the person, naming who speaks once. */
export function words(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.startsWith("Greenlit") ? message : `Greenlit: ${message}`;
}
