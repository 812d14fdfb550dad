//! Defects of reports, lists and ends.

use std::num::NonZeroU16;
use std::time::{Duration, SystemTime};

use webpush_channels::store::Audience;
use webpush_channels::store::journal::{Journal, JournalError, Summary, Totals};
use webpush_channels::{BroadcastId, BroadcastState, ChannelName, Counts, OriginLabel, Report};

use super::{Broken, Defect};

const MANY: NonZeroU16 = NonZeroU16::MAX;

impl Broken {
    pub(super) async fn abort_some(&self, id: &BroadcastId) -> Result<Report, JournalError> {
        let before = self.inner().report(id).await?;
        let aborted = |report: Report| {
            let mut report = report;
            report.state = BroadcastState::Aborted;
            report
        };
        match (self.shared.defect, before) {
            (Defect::UnknownIsAborted, None) => return Ok(Report::default()),
            (Defect::AbortDoesNothing | Defect::AbortedLast, Some(report)) => return Ok(aborted(report)),
            _ => {}
        }
        let report = self.inner().abort(id).await?;
        Ok(self.altered(id, report).await)
    }

    pub(super) async fn summary_of(&self, id: &BroadcastId) -> Result<Option<Summary>, JournalError> {
        let Some(mut summary) = self.inner().summary(id).await? else {
            return Ok(self.has(Defect::EveryIdIsKnown).then(|| nothing(id.clone())));
        };
        match self.shared.defect {
            Defect::AudiencesAreChannels => to_a_channel(&mut summary),
            Defect::CreatedMoves => summary.created += self.shared.begun.elapsed(),
            Defect::EndedIsUnknown if summary.report.state != BroadcastState::Running => return Ok(None),
            _ => {}
        }
        summary.report = self.altered(id, summary.report).await;
        Ok(Some(summary))
    }

    async fn altered(&self, id: &BroadcastId, mut report: Report) -> Report {
        match self.shared.defect {
            Defect::NothingIsPending => report.pending = 0,
            Defect::ReleasesAreTakeovers => report.takeovers += self.notes().releases,
            Defect::TakeoversAreNot => report.takeovers = 0,
            Defect::AllFailuresInTheReport => {
                report.failures = self.inner().failures(id, None, MANY).await.unwrap().failures;
            }
            Defect::RestIsDropped => report.origins.retain(|origin| origin.origin != OriginLabel::Rest),
            Defect::TimeGoesOn => report.elapsed = self.shared.begun.elapsed(),
            Defect::AbortClears if report.state == BroadcastState::Aborted => {
                (report.counts, report.read, report.pending) = (Counts::default(), 0, 0);
                report.origins.clear();
            }
            _ => {}
        }
        report
    }

    pub(super) async fn recent_some(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<Summary>, JournalError> {
        let mut listed = self.inner().recent(after, limit).await?;
        match self.shared.defect {
            Defect::RecentBackwards => listed.reverse(),
            Defect::AudiencesAreChannels => listed.iter_mut().for_each(to_a_channel),
            Defect::CreatedMoves => {
                for summary in &mut listed {
                    summary.created += self.shared.begun.elapsed();
                }
            }
            _ => {}
        }
        Ok(listed)
    }

    /// The defect: all that are listed, whatever became of them.
    pub(super) async fn totals_of(&self, channel: &ChannelName) -> Result<Totals, JournalError> {
        let mut totals = self.inner().totals(channel).await?;
        if self.has(Defect::TotalsOfTheList) {
            totals = Totals::default();
            for summary in self.inner().recent(None, MANY).await? {
                let (Audience::Channel(_) | Audience::User(_)) = summary.audience else { continue };
                totals.broadcasts += 1;
                totals.counts.merge(&summary.report.counts);
                totals.pruned += summary.report.pruned;
            }
        }
        Ok(totals)
    }
}

fn to_a_channel(summary: &mut Summary) {
    if let Audience::User(name) = &summary.audience {
        summary.audience = Audience::Channel(ChannelName::new(name.as_str()).unwrap());
    }
}

/// The summary of a broadcast that was never begun.
fn nothing(id: BroadcastId) -> Summary {
    let nobody = Audience::Channel(ChannelName::new("nobody").unwrap());
    Summary::new(id, nobody, SystemTime::UNIX_EPOCH, Duration::ZERO, Report::default())
}
