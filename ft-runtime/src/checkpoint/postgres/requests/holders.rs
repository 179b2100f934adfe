//! Which runs a living process executes, as somebody else sees it.

use crate::checkpoint::owner::readable;
use crate::checkpoint::postgres::session::{Session, Trouble, read};
use crate::checkpoint::record::Holder;

/// `$1` runs; in the order in which they are named.
const HOLDERS: &str = "
SELECT r.run, o.owner, o.process FROM unnest($1::text[]) WITH ORDINALITY AS asked (run, place)
JOIN ft_run r ON r.run = asked.run COLLATE \"C\"
JOIN ft_owner o ON o.owner = r.owner AND o.lease_until > clock_timestamp()
ORDER BY asked.place";

/// Those of the runs that a living owner executes.
pub(in crate::checkpoint::postgres) async fn holders(runs: &[String], db: &Session) -> Result<Vec<Holder>, Trouble> {
    let mut held = Vec::new();
    for row in db.query(HOLDERS, &[&runs]).await? {
        let mut holder = Holder::new(read::<String>(&row, 0)?, read::<String>(&row, 1)?);
        holder.process = read::<Option<&str>>(&row, 2)?.and_then(readable);
        held.push(holder);
    }
    Ok(held)
}
