//! What a provider does for an event, whichever it is.

use super::error::CloudError;
use super::hetzner::Hetzner;
use super::plan;
use super::price::Price;
use super::program::Program;
use super::server::{Order, Server};
use crate::config::fleet::{Fleet, Provider};

/// The provider that the file names.
#[derive(Debug)]
pub enum Cloud {
    /// Hetzner Cloud.
    Hetzner(Hetzner),
    /// A program.
    Program(Program),
}

impl Cloud {
    /// The provider of an event.
    ///
    /// # Errors
    ///
    /// [`CloudError::NoToken`].
    pub fn open(fleet: &Fleet) -> Result<Self, CloudError> {
        Ok(match &fleet.provider {
            Provider::Hetzner { timeout } => Self::Hetzner(Hetzner::open(fleet, *timeout)?),
            Provider::Command { run, timeout } => Self::Program(Program::new(fleet, run.clone(), *timeout)),
        })
    }

    /// All servers with the event's label and a name of the event. What else is there is nobody's business here.
    pub async fn list(&self, fleet: &Fleet) -> Result<Vec<Server>, CloudError> {
        let mut all = match self {
            Self::Hetzner(hetzner) => hetzner.list().await?,
            Self::Program(program) => program.list().await?,
        };
        all.retain(|server| plan::nth(fleet, &server.name).is_some());
        all.sort_by_key(|server| plan::nth(fleet, &server.name));
        Ok(all)
    }

    /// Of one server.
    pub async fn price(&self) -> Result<Price, CloudError> {
        match self {
            Self::Hetzner(hetzner) => hetzner.price().await,
            Self::Program(program) => program.price().await,
        }
    }

    /// Creates a server; one with this name and label that is there already is as good.
    ///
    /// # Errors
    ///
    /// [`CloudError::Taken`]: something else has this name.
    pub async fn create(&self, fleet: &Fleet, order: &Order) -> Result<Server, CloudError> {
        match self {
            Self::Hetzner(hetzner) => hetzner.create(fleet, order).await,
            Self::Program(program) => program.create(fleet, order).await,
        }
    }

    /// Deletes a server; one that is gone is as good.
    pub async fn delete(&self, server: &Server) -> Result<(), CloudError> {
        match self {
            Self::Hetzner(hetzner) => hetzner.delete(server).await,
            Self::Program(program) => program.delete(server).await,
        }
    }

    /// Deletes what else carries the event's label.
    pub async fn tidy(&self) -> Result<(), CloudError> {
        match self {
            Self::Hetzner(hetzner) => hetzner.tidy().await,
            Self::Program(_) => Ok(()),
        }
    }
}
