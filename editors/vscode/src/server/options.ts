// How the language client behaves: quiet, and with our own entries in the quick-fix menu.

import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  type LanguageClientOptions,
  RevealOutputChannelOn,
} from "vscode-languageclient/node";

import { type ActionData, isActionData } from "../protocol";
import { explicit, serverKeys } from "./settings";

/** Languages of the projects whose tests are run. */
export const LANGUAGES = [
  "python",
  "rust",
  "javascript",
  "javascriptreact",
  "typescript",
  "typescriptreact",
  "go",
];

/** A server that ended is started again so many times within so many milliseconds. */
const RESTARTS = { most: 4, within: 180_000 };

/** What stands below the fixes in a menu. */
export type Actions = (fixes: ActionData[]) => vscode.CodeAction[];

export function options(
  context: vscode.ExtensionContext,
  output: vscode.LogOutputChannel,
  trace: vscode.LogOutputChannel,
  actions: Actions,
  gaveUp: (why: string) => Promise<void>,
): LanguageClientOptions {
  const manifest = context.extension.packageJSON as {
    contributes: { configuration: { properties: Record<string, { scope?: string }> } };
  };
  const { keys, personal } = serverKeys(manifest.contributes.configuration.properties);
  const settings = () => {
    const configuration = vscode.workspace.getConfiguration("greenlit");
    return explicit(keys, personal, (key) => configuration.inspect(key));
  };
  const ends: number[] = [];
  return {
    documentSelector: LANGUAGES.map((language) => ({ scheme: "file", language })),
    outputChannel: output,
    traceOutputChannel: trace,
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    initializationOptions: settings,
    progressOnInitialization: false,
    initializationFailedHandler: (error) => {
      void gaveUp(`the server does not answer: ${error.message}`);
      return false;
    },
    errorHandler: {
      error: () => ({ action: ErrorAction.Continue, handled: true }),
      closed: () => {
        const now = Date.now();
        ends.push(now);
        const recent = ends.filter((at) => now - at < RESTARTS.within);
        if (recent.length <= RESTARTS.most) {
          return { action: CloseAction.Restart, handled: true };
        }
        void gaveUp(`the server ended ${recent.length} times in a row; the output has more`);
        return { action: CloseAction.DoNotRestart, handled: true };
      },
    },
    middleware: {
      workspace: {
        configuration: async (params, token, next) => {
          const answers = await next(params, token);
          return Array.isArray(answers)
            ? answers.map((answer, at) =>
                params.items[at]?.section === "greenlit" ? settings() : (answer as unknown),
              )
            : answers;
        },
      },
      provideCodeActions: async (document, range, context, token, next) => {
        const found = (await next(document, range, context, token)) ?? [];
        const fixes = found
          .map((action) => (action as { data?: unknown }).data)
          .filter(isActionData);
        return fixes.length > 0 ? [...found, ...actions(fixes)] : found;
      },
      // The entries of `actions` are complete.
      resolveCodeAction: (action, token, next) =>
        isActionData((action as { data?: unknown }).data) ? next(action, token) : action,
    },
  };
}
