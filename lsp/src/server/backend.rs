//! tower-lsp's view of the server: every request goes to its handler. Document notifications never
//! come here, see [`super::ordered`].

use std::sync::Arc;

use lsp_types::{
    CodeAction, CodeActionParams, CodeActionResponse, DocumentDiagnosticParams,
    DocumentDiagnosticReportResult, ExecuteCommandParams, InitializeParams, InitializeResult,
    InitializedParams, SymbolInformation, WorkspaceSymbolParams,
};
use serde_json::Value;
use tower_lsp::LanguageServer;
use tower_lsp::jsonrpc::Result;

use super::handlers::{
    self, Evidence, EvidenceParams, FixesParams, ListedFix, RootHits, RootParams, RunTestsParams,
    SearchParams,
};
use super::session::Session;
use super::test_results::TestResults;

/// The server.
#[derive(Debug)]
pub(crate) struct Backend {
    session: Arc<Session>,
}

impl Backend {
    pub(crate) fn new(session: Arc<Session>) -> Self {
        Self { session }
    }

    pub(crate) fn session(&self) -> Arc<Session> {
        self.session.clone()
    }

    /// `greenlit/search`
    pub(crate) async fn search(&self, params: SearchParams) -> Result<Vec<RootHits>> {
        handlers::search(&self.session, params).await
    }

    /// `greenlit/tests`
    pub(crate) async fn tests(&self, params: RootParams) -> Result<Vec<TestResults>> {
        handlers::tests(&self.session, params).await
    }

    /// `greenlit/runTests`
    pub(crate) async fn run_tests(&self, params: RunTestsParams) -> Result<TestResults> {
        handlers::run_tests(&self.session, params).await
    }

    /// `greenlit/fixes`
    pub(crate) async fn fixes(&self, params: FixesParams) -> Result<Vec<ListedFix>> {
        handlers::fixes(&self.session, params)
    }

    /// `greenlit/evidence`
    pub(crate) async fn evidence(&self, params: EvidenceParams) -> Result<Evidence> {
        handlers::evidence(&self.session, params).await
    }
}

#[tower_lsp::async_trait]
impl LanguageServer for Backend {
    async fn initialize(&self, params: InitializeParams) -> Result<InitializeResult> {
        Ok(handlers::initialize(&self.session, params))
    }

    async fn initialized(&self, _: InitializedParams) {
        handlers::initialized(&self.session);
    }

    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }

    async fn code_action(&self, params: CodeActionParams) -> Result<Option<CodeActionResponse>> {
        Ok(handlers::code_action(&self.session, params))
    }

    async fn code_action_resolve(&self, action: CodeAction) -> Result<CodeAction> {
        handlers::code_action_resolve(&self.session, action)
    }

    async fn diagnostic(
        &self,
        params: DocumentDiagnosticParams,
    ) -> Result<DocumentDiagnosticReportResult> {
        Ok(handlers::diagnostic(&self.session, params))
    }

    async fn symbol(
        &self,
        params: WorkspaceSymbolParams,
    ) -> Result<Option<Vec<SymbolInformation>>> {
        handlers::symbol(&self.session, params).await
    }

    async fn execute_command(&self, params: ExecuteCommandParams) -> Result<Option<Value>> {
        handlers::execute_command(&self.session, params).await
    }
}
