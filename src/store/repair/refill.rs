//! Fills a restored table or column: from the rows themselves if possible, otherwise by the next run.

use super::{Work, synced_table};
use crate::store::catalog::Catalog;
use crate::store::error::StoreError;
use crate::store::needs::NeededTable;
use crate::store::schema::quoted;
use crate::table::Relation;
use crate::table::Table;

impl Work<'_> {
    /// Restores Wix ids from the stored records, and those of placeholders from the bookings that name them.
    pub(super) async fn restore_wix_ids(&self, table: &'static Table) -> Result<Option<String>, StoreError> {
        let Table { name, id_column, .. } = table;
        let schema = self.session.schema;
        let path = table.inside.map_or_else(|| "{id}".to_owned(), |inside| format!("{{{inside},id}}"));
        self.execute(&format!("update {schema}.{name} set {id_column} = raw #>> '{path}' where raw is not null"))
            .await?;
        if let Some(Relation::Customer) = table.relation {
            self.execute(&format!(
                "update {schema}.customers c set wix_contact_id = named.contact
                 from (
                    select a.customer_id, min(a.wix_contact_id) as contact from {schema}.appointments a
                    where a.wix_booking_id is not null and a.wix_contact_id is not null group by a.customer_id
                    having count(distinct a.wix_contact_id) = 1
                 ) named
                 where named.customer_id = c.id and c.wix_contact_id is null and c.raw is null and not exists (
                    select from {schema}.customers other where other.wix_contact_id = named.contact
                 )"
            ))
            .await?;
        }
        let lost = self
            .count(&format!(
                "select count(*) from {schema}.{name} where {id_column} is null and deleted_at is not null"
            ))
            .await?;
        Ok((lost > 0).then(|| format!("{lost} rows that Wix had deleted stay without one")))
    }

    /// Restores the foreign key to customers. The next run makes links to deleted customers again. Links that were made
    /// manually stay.
    pub(super) async fn link_to_customers(
        &mut self,
        table: &'static NeededTable,
        facts: &Catalog,
    ) -> Result<Option<String>, StoreError> {
        let (name, schema) = (self.name(table), self.session.schema);
        let Some(table) = synced_table(table) else { return Ok(None) };
        // A foreign key to a renamed table would refuse every link.
        for (key, columns, _) in facts.get(table.name).into_iter().flat_map(|facts| &facts.foreign_keys) {
            if columns == "customer_id" {
                self.run(&format!("alter table {name} drop constraint {}", quoted(key))).await?;
            }
        }
        let dangling = format!(
            "customer_id is not null and not exists (select from {schema}.customers c where c.id = t.customer_id)"
        );
        let unlinked = self
            .execute(&format!(
                "update {name} t set customer_id = null where {} is not null and {dangling}",
                table.id_column
            ))
            .await?;
        if unlinked > 0 {
            self.to_read.insert(table);
            self.to_rewrite.insert(table);
        }
        let left = self.count(&format!("select count(*) from {name} t where {dangling}")).await?;
        let unchecked = if left > 0 { " not valid" } else { "" };
        self.run(&format!(
            "alter table {name} add foreign key (customer_id) references {schema}.customers (id) on delete set null{unchecked}"
        ))
        .await?;
        Ok((unlinked > 0).then(|| format!("{unlinked} links to customers that are gone are made anew")))
    }

    /// Adds the comments and the reference to Supabase's users, with the statements of the migrations.
    pub(super) async fn finish_tables(&self) -> Result<(), StoreError> {
        for table in &self.created {
            let about = format!("comment on column {{schema}}.{table}.");
            for sql in self.finishing {
                let statements = sql.split(";\n").map(|statement| statement.trim().trim_end_matches(';'));
                for statement in statements.filter(|statement| statement.starts_with(&about)) {
                    self.run(&self.session.schema.sql(statement)).await?;
                }
            }
        }
        if self.created.contains("sync_logs") {
            for sql in self.finishing.iter().filter(|sql| sql.contains("references auth.users")) {
                self.run(&self.session.schema.sql(sql)).await?;
            }
        }
        Ok(())
    }

    /// Makes the next run read tables completely, and write incomplete rows again. A run that is active meanwhile
    /// fails: otherwise it would record that it has read everything.
    pub(super) async fn have_read_again(&self) -> Result<(), StoreError> {
        let schema = self.session.schema;
        for table in &self.to_rewrite {
            let Table { name, id_column, .. } = table;
            self.execute(&format!(
                "update {schema}.{name} set content_hash = null
                 where {id_column} is not null and deleted_at is null and content_hash is not null"
            ))
            .await?;
        }
        let tables: Vec<String> =
            self.to_read.union(&self.to_rewrite).map(|table| format!("'{}'", table.name)).collect();
        if tables.is_empty() {
            return Ok(());
        }
        self.execute(&format!(
            "update {schema}.sync_state
             set write_number = write_number + 2, live_rows = null, last_full_pass_at = null, checkpoint = null,
                full_checkpoint = null
             where table_name in ({})",
            tables.join(", ")
        ))
        .await
        .map(drop)
    }
}
