//! The product's side: an editor's session, a save, and what comes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use greenlit_benches::checkout::Checkout;
use greenlit_benches::product::Product;
use greenlit_client::{ConnectOptions, Connection, connect};
use greenlit_protocol::{Event, Notification, RootPhase, SessionParams};

/// When it came after the save.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    /// The first failing test.
    pub(crate) diagnosed: Option<Duration>,
    /// The first verified fix.
    pub(crate) fixed: Option<Duration>,
}

/// Opens the sound document, lets the daemon come to rest, saves the faulty text.
pub(crate) fn save(
    product: &Product,
    checkout: &Checkout,
    path: &Path,
    faulty: &str,
    budget: Duration,
) -> Result<Saved> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = open(product, checkout, budget).await?;
        let document = checkout.work.join(path);
        connection.client.notify(Notification::DocumentOpened {
            document: document.clone(),
            version: 1,
            text: None,
        })?;
        let patience = budget * 2 + Duration::from_secs(240);
        let rest = watch(&mut connection, Instant::now());
        tokio::time::timeout(patience, rest).await.context("the sound state never settled")??;
        fs::write(&document, faulty)?;
        let started = Instant::now();
        connection.client.notify(Notification::DocumentSaved { document })?;
        let saved = watch(&mut connection, started);
        tokio::time::timeout(patience, saved).await.context("the saved state never settled")?
    })
}

async fn open(product: &Product, checkout: &Checkout, budget: Duration) -> Result<Connection> {
    let mut env: BTreeMap<_, _> = std::env::vars_os().collect();
    env.extend(checkout.env(&checkout.work));
    let settings = format!(
        "{{\"run\": {{\"debounce_ms\": 0}}, \"fix\": {{\"budget_secs\": {}}}}}",
        budget.as_secs().max(1)
    );
    let session = SessionParams {
        client: "bench".into(),
        roots: vec![checkout.work.clone()],
        cwd: checkout.work.clone(),
        env,
        settings: Some(settings),
        background: true,
    };
    let mut options = ConnectOptions::new(session);
    let daemon = format!("greenlitd{}", std::env::consts::EXE_SUFFIX);
    options.daemon = Some(product.program().with_file_name(daemon));
    Ok(connect(&options).await?)
}

/// Reads events until the daemon is at rest.
async fn watch(connection: &mut Connection, started: Instant) -> Result<Saved> {
    let mut saved = Saved::default();
    loop {
        let event = connection.events.recv().await.context("the daemon ended")?;
        match event {
            Event::Findings { findings, .. } if !findings.is_empty() => {
                saved.diagnosed.get_or_insert_with(|| started.elapsed());
                if findings.iter().any(|finding| !finding.fixes.is_empty()) {
                    saved.fixed.get_or_insert_with(|| started.elapsed());
                }
            }
            Event::Root { phase: RootPhase::Settled { .. }, .. } => return Ok(saved),
            Event::Root { phase: RootPhase::Problem { error }, .. } => {
                bail!("the daemon cannot run the tests: {}", error.message)
            }
            _ => {}
        }
    }
}
