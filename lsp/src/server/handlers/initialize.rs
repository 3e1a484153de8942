//! `initialize`

use lsp_types::{
    CodeActionKind, CodeActionOptions, CodeActionProviderCapability, DiagnosticOptions,
    DiagnosticServerCapabilities, ExecuteCommandOptions, InitializeParams, InitializeResult, OneOf,
    SaveOptions, ServerCapabilities, ServerInfo, TextDocumentSyncCapability, TextDocumentSyncKind,
    TextDocumentSyncOptions, TextDocumentSyncSaveOptions, WorkDoneProgressOptions,
    WorkspaceFoldersServerCapabilities, WorkspaceServerCapabilities,
};

use crate::server::from_proto::{self, ClientFeatures};
use crate::server::roots::Roots;
use crate::server::session::Session;
use crate::server::settings;
use crate::server::to_proto::SOURCE;

pub(crate) fn initialize(session: &Session, params: InitializeParams) -> InitializeResult {
    let features = from_proto::features(&params.capabilities);
    let capabilities = capabilities(&features);
    let mut state = session.state();
    state.roots = Roots::new(&from_proto::folders(&params));
    state.client_name = from_proto::client_name(&params);
    state.settings = params.initialization_options.and_then(settings::normalize);
    state.features = features;
    let server_info = Some(ServerInfo {
        name: SOURCE.to_owned(),
        version: Some(greenlit_protocol::BUILD_ID.to_owned()),
    });
    InitializeResult { capabilities, server_info }
}

fn capabilities(features: &ClientFeatures) -> ServerCapabilities {
    let sync = TextDocumentSyncOptions {
        open_close: Some(true),
        change: Some(TextDocumentSyncKind::INCREMENTAL),
        save: Some(TextDocumentSyncSaveOptions::SaveOptions(SaveOptions {
            include_text: Some(false),
        })),
        ..TextDocumentSyncOptions::default()
    };
    // Results come when tests end, not when a text changes, and at files that are not open: only
    // pushing does both. Doing both would show everything twice.
    let pulls = features.pulled_diagnostics && !features.pushed_diagnostics;
    let diagnostics = pulls.then(|| {
        DiagnosticServerCapabilities::Options(DiagnosticOptions {
            identifier: Some(SOURCE.to_owned()),
            inter_file_dependencies: true,
            workspace_diagnostics: false,
            work_done_progress_options: WorkDoneProgressOptions::default(),
        })
    });
    ServerCapabilities {
        position_encoding: Some(features.encoding.kind()),
        text_document_sync: Some(TextDocumentSyncCapability::Options(sync)),
        code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
            code_action_kinds: Some(vec![CodeActionKind::QUICKFIX]),
            resolve_provider: Some(true),
            work_done_progress_options: WorkDoneProgressOptions::default(),
        })),
        execute_command_provider: Some(ExecuteCommandOptions {
            commands: super::COMMANDS.iter().map(|name| (*name).to_owned()).collect(),
            work_done_progress_options: WorkDoneProgressOptions::default(),
        }),
        workspace: Some(WorkspaceServerCapabilities {
            workspace_folders: Some(WorkspaceFoldersServerCapabilities {
                supported: Some(true),
                change_notifications: Some(OneOf::Left(true)),
            }),
            file_operations: None,
        }),
        diagnostic_provider: diagnostics,
        workspace_symbol_provider: Some(OneOf::Left(true)),
        ..ServerCapabilities::default()
    }
}
