//! Relates a source to the renditions that its ladder publishes over RTMP. Pure.

use weir_model::StreamName;

use crate::config::{Config, Delivery};
use crate::streams::StreamId;

/// Returns the renditions of a source, live or not.
pub(crate) fn rungs(config: &Config, (app, name): &StreamId) -> Vec<StreamId> {
    let rule = config.rules.iter().find(|rule| rule.app == *app && rule.stream.fits(name.as_str()));
    let Some((rule, Delivery::Rtmp(to))) = rule.map(|rule| (rule, &rule.delivery)) else { return Vec::new() };
    let name = |rung: &str| format!("{name}_{rung}").parse::<StreamName>().ok();
    rule.ladder.rungs.iter().filter_map(|rung| Some((to.app.clone(), name(&rung.name)?))).collect()
}

/// Returns the source of a rendition.
pub(crate) fn source_of(config: &Config, id: &StreamId) -> Option<StreamId> {
    config.rules.iter().find_map(|rule| {
        let Delivery::Rtmp(to) = &rule.delivery else { return None };
        let (source, rung) = id.1.as_str().rsplit_once('_')?;
        let is_rung = to.app == id.0 && rule.ladder.rungs.iter().any(|known| known.name == rung);
        let source = (rule.app.clone(), source.parse().ok()?);
        (is_rung && rungs(config, &source).contains(id)).then_some(source)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    fn id(app: &str, name: &str) -> StreamId {
        (app.parse().unwrap(), name.parse().unwrap())
    }

    #[test]
    fn rungs_are_of_their_source_and_nothing_else_is() {
        let text = "[nginx]\nsecret_file = \"/s\"\n[rung.low]\nheight = 90\nbitrate = \"100k\"\n\
                    [ladder.two]\nrungs = [\"source\", \"low\"]\n\
                    [[stream]]\napp = \"live\"\nstream = \"*\"\nladder = \"two\"\ndeliver = \"rtmp\"\nto_app = \"abr\"\n";
        let config = parse(Path::new("weir.toml"), text).unwrap();
        let show = id("live", "a_b");
        assert_eq!(rungs(&config, &show), [id("abr", "a_b_source"), id("abr", "a_b_low")]);
        assert_eq!(source_of(&config, &id("abr", "a_b_low")), Some(show));
        for other in [id("abr", "a_b"), id("abr", "a_b_high"), id("live", "a_b_low"), id("abr", "low")] {
            assert_eq!(source_of(&config, &other), None, "{other:?}");
        }
        // Renditions in files are no streams.
        let config =
            parse(Path::new("weir.toml"), &text.replace("deliver = \"rtmp\"\nto_app = \"abr\"\n", ""));
        assert_eq!(rungs(&config.unwrap(), &id("live", "a_b")), []);
    }
}
