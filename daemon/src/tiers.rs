//! The models that are asked when templates find nothing: those that the person configured by name.
//!
//! Nobody else can: neither a workspace's file nor an editor's settings say where source code is sent.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use greenlit_download::is_loopback;
use greenlit_evidence::Store;
use greenlit_generate::{
    Endpoint, Estimate, Limits, Model, ModelAuthor, Protocol, Remote, Settings, Standing,
};
use greenlit_protocol::{Check, CheckState, ErrorKind, ModelStatus, Notice, RemoteError, Tier};
use greenlit_repair::{Cancel, PathPatterns};
use greenlit_runner::Environment;
use greenlit_workspace::config::{self, Provider, TierModel};
use greenlit_workspace::{Config, chain};

use crate::engine::{Local, Rivals};
use crate::keys::Keys;

/// The configured tiers.
#[derive(Debug, Clone)]
pub(crate) struct Tiers {
    /// Cheapest first.
    models: Vec<(&'static str, TierModel)>,
    /// How each tier's endpoint stands, whichever job asks it.
    standings: BTreeMap<&'static str, Arc<Standing>>,
    local: Arc<Local>,
    keys: Arc<Keys>,
    offline: bool,
}

/// Who is asked, in order, and who would be but cannot.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) authors: Vec<Arc<ModelAuthor>>,
    pub(crate) notices: Vec<Notice>,
}

impl Tiers {
    /// As the person's own configuration has it.
    pub(crate) fn new(config: &Config, local: Arc<Local>) -> Self {
        let config::Tiers { small, large } = config.tier.clone();
        let all = [("small", small), ("large", large)];
        let models: Vec<(&'static str, TierModel)> =
            all.into_iter().filter_map(|(name, model)| Some((name, model?))).collect();
        let standing = |(tier, model): &(&'static str, TierModel)| {
            let limits = Limits {
                per_minute: NonZeroU32::new(model.requests_per_minute),
                tokens_per_day: NonZeroU64::new(model.tokens_per_day),
            };
            (*tier, Arc::new(Standing::new(limits)))
        };
        let standings = models.iter().map(standing).collect();
        Self { models, standings, local, keys: Arc::default(), offline: config.network.offline }
    }

    /// Counts what endpoints took before this daemon started, as far as it is recorded. Blocks.
    pub(crate) fn remember(&self, attempts: &Store) {
        const DAY: Duration = Duration::from_secs(86_400);
        for (tier, model) in &self.models {
            let Some(standing) = self.standings.get(tier).filter(|_| model.tokens_per_day > 0)
            else {
                continue;
            };
            match attempts.tokens(tier, DAY) {
                Ok(spent) => standing.spent_before(spent),
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(tier, error, "what the tier took before is not counted");
                }
            }
        }
    }

    /// Whether a tier that is asked for by name is there.
    pub(crate) fn check_tier(&self, tier: Tier) -> Result<(), RemoteError> {
        let name = match tier {
            Tier::Template | Tier::Auto => return Ok(()),
            Tier::Small => "small",
            Tier::Large => "large",
        };
        if self.models.iter().any(|(known, _)| *known == name) {
            return Ok(());
        }
        let message = format!("no model is configured for the tier `{name}`");
        Err(RemoteError::new(ErrorKind::BadRequest, message).hint(format!(
            "put `[tier.{name}]` with `provider`, `model` and, unless the provider is `engine`, \
             `endpoint` into your own configuration file and run `greenlit restart`, or use `--tier template`"
        )))
    }

    /// Authors up to the tier that is asked for, else up to the configured one. Keys come from the
    /// session's environment, else from the daemon's, or from a program. What is `hidden` is shown to none elsewhere.
    pub(crate) fn authors(
        &self,
        asked: Tier,
        configured: config::Tier,
        environment: &Environment,
        root: &Path,
        hidden: &PathPatterns,
        cancel: &Cancel,
    ) -> Asked {
        let most = match limit(asked, configured) {
            Tier::Template => return Asked::default(),
            Tier::Small => "small",
            Tier::Large | Tier::Auto => "large",
        };
        let mut asked = Asked::default();
        for (tier, configured) in &self.models {
            let notice = |message| Notice { kind: "model".into(), message };
            let opened = match protocol(configured.provider) {
                None => {
                    let unused = self.local.unused_adapter(tier, &configured.model, root);
                    asked.notices.extend(unused.map(notice));
                    self.local.model(configured, root, cancel)
                }
                Some(protocol) => self.remote(tier, protocol, configured, environment),
            };
            match opened {
                Ok(model) => {
                    let author = ModelAuthor::new(tier, model, settings(configured));
                    let elsewhere =
                        configured.endpoint.as_deref().is_some_and(|url| !is_loopback(url));
                    let author = match elsewhere {
                        true => {
                            let hidden = hidden.clone();
                            author.hiding(Arc::new(move |path| hidden.covers(path)))
                        }
                        false => author,
                    };
                    asked.authors.push(Arc::new(author));
                }
                Err(why) => {
                    asked.notices.push(notice(format!("the tier `{tier}` is not asked: {why}")));
                }
            }
            if *tier == most {
                break;
            }
        }
        asked
    }

    /// An adapter's model with it and without, asked as the tier that has the model.
    pub(crate) fn rivals(&self, adapter: &str) -> Result<Rivals, RemoteError> {
        Rivals::new(self.local.clone(), adapter, |model| {
            let mut own = self.models.iter().filter(|(_, tier)| tier.provider == Provider::Engine);
            let own = own.find(|(_, tier)| tier.model == model).cloned();
            let (name, tier) = own.unwrap_or_else(|| ("small", TierModel::local(model)));
            let settings = settings(&tier);
            (name, tier, settings)
        })
    }

    /// Whose prompts are to be learnt, and how many tokens its replies have: the first local model, else an
    /// estimate, with a word about why.
    pub(crate) fn example_model(
        &self,
        root: &Path,
        cancel: &Cancel,
    ) -> (Arc<dyn Model>, usize, Option<String>) {
        let own = self.models.iter().find(|(_, tier)| tier.provider == Provider::Engine);
        let any = own.or(self.models.first()).map(|(_, tier)| tier.clone());
        let tier = any.unwrap_or_else(|| TierModel::local("none"));
        let reply = tier.max_tokens as usize;
        let why = match own {
            Some((_, tier)) => match self.local.model(tier, root, cancel) {
                Ok(model) => return (model, reply, None),
                Err(why) => why,
            },
            None => "no tier has the provider `engine`".to_owned(),
        };
        let context_tokens = tier.context_tokens as usize;
        let note = format!("tokens are estimated, for a context of {context_tokens}: {why}");
        (Arc::new(Estimate { context_tokens }), reply, Some(note))
    }

    /// The model behind the endpoint of a tier; nobody is asked anything yet.
    fn remote(
        &self,
        tier: &str,
        protocol: Protocol,
        configured: &TierModel,
        environment: &Environment,
    ) -> Result<Arc<dyn Model>, String> {
        let endpoint = endpoint(tier, protocol, configured, environment, &self.keys)?;
        let standing = self.standings.get(tier).cloned().unwrap_or_default();
        let model = Remote::new(endpoint, standing, self.offline).map_err(|error| chain(&error))?;
        Ok(Arc::new(model))
    }

    /// Who answers for a tier: `engine`, or an endpoint without a password that its address may hold.
    pub(crate) fn provider(&self, tier: &str) -> Option<String> {
        let (_, model) = self.models.iter().find(|(known, _)| *known == tier)?;
        let Some(endpoint) = &model.endpoint else { return Some("engine".to_owned()) };
        let (scheme, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let host = rest[..end].rsplit('@').next().unwrap_or_default();
        Some(format!("{scheme}://{host}"))
    }

    /// Whether a tier asks the local engine.
    pub(crate) fn want_the_engine(&self) -> bool {
        self.models.iter().any(|(_, model)| model.provider == Provider::Engine)
    }

    /// For `greenlit status`.
    pub(crate) fn status(&self) -> Vec<ModelStatus> {
        let status = |(tier, configured): &(&'static str, TierModel)| ModelStatus {
            tier: (*tier).to_owned(),
            model: configured.model.clone(),
        };
        self.models.iter().map(status).collect()
    }

    /// The adapters that the first local model with any writes with in a workspace. What an endpoint serves under
    /// the name of a model, only its operator knows.
    pub(crate) fn adapter(&self, root: &Path) -> Option<String> {
        let local = self.models.iter().filter(|(_, model)| model.provider == Provider::Engine);
        let mut applied = local.filter_map(|(_, tier)| self.local.adapter(&tier.model, root));
        applied.next()
    }

    /// Lines for `greenlit doctor`.
    pub(crate) fn checks(&self, environment: &Environment, root: &Path) -> Vec<Check> {
        if self.models.is_empty() {
            let detail = "no model is configured: fixes come from templates alone".to_owned();
            return vec![Check {
                name: "model tiers".to_owned(),
                state: CheckState::Ok,
                detail,
                remedy: None,
            }];
        }
        let check = |(tier, configured): &(&'static str, TierModel)| {
            let TierModel { model, endpoint, .. } = configured;
            let usable = match protocol(configured.provider) {
                None => self.local.usable(model, Some(root)).map(|wanted| {
                    let adapter = wanted.adapter.map(|(name, _)| format!(" with {name}"));
                    format!("{model} on the engine{}", adapter.unwrap_or_default())
                }),
                Some(protocol) => {
                    let at = endpoint.as_deref().unwrap_or_default();
                    self.remote(tier, protocol, configured, environment)
                        .map(|_| format!("{model} at {at}"))
                }
            };
            let (state, detail) = match usable {
                Ok(who) => (CheckState::Ok, format!("{who}; not asked by this check")),
                Err(why) => (CheckState::Warning, why),
            };
            let remedy = (state != CheckState::Ok)
                .then(|| format!("correct `[tier.{tier}]` and run `greenlit restart`"));
            Check { name: format!("tier {tier}"), state, detail, remedy }
        };
        self.models.iter().map(check).collect()
    }
}

/// The highest tier: what is asked for, else what is configured.
fn limit(asked: Tier, configured: config::Tier) -> Tier {
    match (asked, configured) {
        (Tier::Auto, config::Tier::Template) => Tier::Template,
        (Tier::Auto, config::Tier::Small) => Tier::Small,
        (Tier::Auto, config::Tier::Large) => Tier::Large,
        (asked, _) => asked,
    }
}

/// What is spoken with an endpoint; `None` for the local engine, which has none.
fn protocol(provider: Provider) -> Option<Protocol> {
    match provider {
        Provider::Engine => None,
        Provider::OpenAi => Some(Protocol::OpenAi),
        Provider::Tgi => Some(Protocol::Tgi),
    }
}

/// Where the model of a tier is.
fn endpoint(
    tier: &str,
    protocol: Protocol,
    configured: &TierModel,
    environment: &Environment,
    keys: &Arc<Keys>,
) -> Result<Endpoint, String> {
    let missing = || format!("`tier.{tier}.endpoint` is missing");
    let at = configured.endpoint.as_deref().ok_or_else(missing)?;
    let mut endpoint = Endpoint::new(protocol, at, &configured.model);
    endpoint.context_tokens = configured.context_tokens as usize;
    endpoint.patience = Duration::from_secs(configured.timeout_secs.max(1));
    endpoint.key = keys.of(tier, configured, environment)?;
    Ok(endpoint)
}

fn settings(configured: &TierModel) -> Settings {
    Settings {
        samples: configured.samples as usize,
        rounds: configured.rounds as usize,
        max_tokens: configured.max_tokens,
        plan: configured.plan,
        ..Settings::default()
    }
}
