// The command "Report Issue".

import { execFile } from "node:child_process";
import * as os from "node:os";
import * as vscode from "vscode";

import { type Check, body } from "./report";
import type { Server } from "./server/server";

/** `doctor` may have to start a daemon and probe sandboxes. */
const PATIENCE_MS = 60_000;

/** The text of a report, for the person to look at and to complete. */
export async function issueBody(server: Server): Promise<string> {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const { program, version } = server;
  const asked = program === undefined ? { checks: [] } : await doctor(program, folder?.fsPath);
  return body(
    {
      extension: version,
      editor: `${vscode.env.appName} ${vscode.version}`,
      platform: `${process.platform} ${process.arch} ${os.release()}`,
      program,
      ...asked,
    },
    [
      [os.homedir(), "~"],
      [folder?.fsPath ?? "", "<workspace>"],
      [os.userInfo().username, "<user>"],
    ].filter((pair): pair is [string, string] => (pair[0]?.length ?? 0) > 3),
  );
}

function doctor(
  program: string,
  root: string | undefined,
): Promise<{ checks: Check[]; problem?: string }> {
  const args = ["doctor", "--json", ...(root === undefined ? [] : ["--root", root])];
  return new Promise((resolve) => {
    execFile(program, args, { timeout: PATIENCE_MS }, (error, stdout) => {
      try {
        // It exits with 1 where something is not as it should be.
        resolve({ checks: (JSON.parse(stdout) as { checks: Check[] }).checks });
      } catch {
        resolve({ checks: [], problem: `doctor: ${error?.message ?? "no JSON"}` });
      }
    });
  });
}

export async function reportIssue(server: Server): Promise<void> {
  const text = await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title: "Greenlit: asking the doctor" },
    () => issueBody(server),
  );
  // Shown before anything leaves the machine: the person sends it, or does not.
  const document = await vscode.workspace.openTextDocument({
    language: "markdown",
    content: text,
  });
  await vscode.window.showTextDocument(document);
  const open = "Open the Issue Page";
  const answer = await vscode.window.showInformationMessage(
    "Greenlit: complete this text and paste it into a new issue. It holds no code.",
    open,
  );
  if (answer === open) {
    await vscode.env.clipboard.writeText(document.getText());
    const page = vscode.Uri.parse("https://github.com/greenlit/greenlit/issues/new");
    await vscode.env.openExternal(page);
  }
}
