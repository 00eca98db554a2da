//! A transaction and the schema that its statements name. A parameter's type follows from its Rust type; rows are read
//! into tuples or structs.

use chrono::{DateTime, NaiveDate, Utc};
use tokio_postgres::types::{FromSqlOwned, Json, ToSql, Type};
use tokio_postgres::{Error, Row, Transaction};
use uuid::Uuid;

use super::error::StoreError;
use super::schema::Schema;

/// A parameter with its type. Unnamed statements are used because poolers in transaction mode lose prepared ones.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// The parameters of a statement in order, each with the Postgres type of its Rust type.
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::store::session::parameter(&$value)),*] };
}
pub(super) use params;

pub(super) fn parameter<T: Typed + ToSql + Sync>(value: &T) -> Parameter<'_> {
    (value, T::TYPE)
}

/// The Postgres types of a Rust type and of an array of it.
pub(super) trait Typed {
    const TYPE: Type;
    const ARRAY: Type;
}

macro_rules! types {
    ($($rust:ty: $one:ident $many:ident,)*) => {
        $(impl Typed for $rust {
            const TYPE: Type = Type::$one;
            const ARRAY: Type = Type::$many;
        })*
    };
}

types! {
    bool: BOOL BOOL_ARRAY,
    i32: INT4 INT4_ARRAY,
    i64: INT8 INT8_ARRAY,
    f64: FLOAT8 FLOAT8_ARRAY,
    str: TEXT TEXT_ARRAY,
    String: TEXT TEXT_ARRAY,
    [u8]: BYTEA BYTEA_ARRAY,
    Uuid: UUID UUID_ARRAY,
    DateTime<Utc>: TIMESTAMPTZ TIMESTAMPTZ_ARRAY,
    NaiveDate: DATE DATE_ARRAY,
    serde_json::Value: JSONB JSONB_ARRAY,
}

macro_rules! types_of_content {
    ($([$($bound:tt)*] $rust:ty: $one:expr, $many:expr;)*) => {
        $(impl<T $($bound)*> Typed for $rust {
            const TYPE: Type = $one;
            const ARRAY: Type = $many;
        })*
    };
}

types_of_content! {
    [] Json<T>: Type::JSONB, Type::JSONB_ARRAY;
    [: Typed + ?Sized] &T: T::TYPE, T::ARRAY;
    [: Typed] Option<T>: T::TYPE, T::ARRAY;
    [: Typed] [T]: T::ARRAY, T::ARRAY;
    [: Typed] Vec<T>: T::ARRAY, T::ARRAY;
}

/// An open transaction. It is rolled back if it is dropped without [`Session::commit`].
pub(super) struct Session<'a> {
    pub(super) transaction: Transaction<'a>,
    pub(super) schema: &'a Schema,
}

impl Session<'_> {
    /// Runs a statement and returns its rows. `{schema}` in it becomes the schema's name.
    pub(super) async fn rows(
        &self,
        doing: &'static str,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Rows, StoreError> {
        Rows::of(doing, self.transaction.query_typed(&self.schema.sql(statement), parameters).await)
    }

    /// Runs a statement that returns no rows. `{schema}` in it becomes the schema's name.
    pub(super) async fn write(
        &self,
        doing: &'static str,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<(), StoreError> {
        self.write_counted(doing, statement, parameters).await.map(drop)
    }

    /// Runs a statement and returns how many rows it wrote.
    pub(super) async fn write_counted(
        &self,
        doing: &'static str,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<u64, StoreError> {
        let statement = self.schema.sql(statement);
        self.transaction.execute_typed(&statement, parameters).await.map_err(StoreError::database(doing))
    }

    /// Runs statements without parameters and without replacing `{schema}`: they may contain user-defined names.
    pub(super) async fn run(&self, doing: &'static str, statements: &str) -> Result<(), StoreError> {
        self.transaction.batch_execute(statements).await.map_err(StoreError::database(doing))
    }

    /// Allows sequential scans for the rest of the transaction. Other statements look up the rows of a batch by index;
    /// without statistics, as in a first load, the planner would read a whole table or index for each of them.
    pub(super) async fn read_whole_tables(&self) -> Result<(), StoreError> {
        let settings = "set local enable_seqscan = on; set local enable_bitmapscan = on";
        self.run("could not change a setting", settings).await
    }

    pub(super) async fn commit(self, doing: &'static str) -> Result<(), StoreError> {
        self.transaction.commit().await.map_err(StoreError::database(doing))
    }

    pub(super) async fn rollback(self, doing: &'static str) -> Result<(), StoreError> {
        self.transaction.rollback().await.map_err(StoreError::database(doing))
    }
}

/// The rows that a statement returned. A column of an unexpected type is an error: the table may have been changed.
pub(super) struct Rows {
    rows: Vec<Row>,
    doing: &'static str,
}

impl Rows {
    pub(super) fn of(doing: &'static str, answer: Result<Vec<Row>, Error>) -> Result<Rows, StoreError> {
        Ok(Rows { rows: answer.map_err(StoreError::database(doing))?, doing })
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn all<R: FromRow, C: FromIterator<R>>(&self) -> Result<C, StoreError> {
        self.map(|row| row)
    }

    pub(super) fn map<R: FromRow, T, C: FromIterator<T>>(&self, mut make: impl FnMut(R) -> T) -> Result<C, StoreError> {
        let made = self.rows.iter().map(|row| R::from_row(row).map(&mut make));
        made.collect::<Result<C, Error>>().map_err(StoreError::database(self.doing))
    }

    pub(super) fn first<R: FromRow>(&self) -> Result<Option<R>, StoreError> {
        self.rows.first().map(R::from_row).transpose().map_err(StoreError::database(self.doing))
    }

    /// The first column of every row.
    pub(super) fn values<T: FromSqlOwned>(&self) -> Result<Vec<T>, StoreError> {
        self.map(|(value,)| value)
    }

    /// The first column of the first row. Without a row, the default: 0, false or `None`.
    pub(super) fn value<T: FromSqlOwned + Default>(&self) -> Result<T, StoreError> {
        Ok(self.first()?.map_or_else(T::default, |(value,)| value))
    }

    /// The first column of the first row, as a count.
    pub(super) fn count(&self) -> Result<u64, StoreError> {
        self.value().map(i64::unsigned_abs)
    }

    /// The named column of the first row. Without a row, the default.
    pub(super) fn get<T: FromSqlOwned + Default>(&self, column: &str) -> Result<T, StoreError> {
        let value = self.rows.first().map_or_else(|| Ok(T::default()), |row| row.try_get(column));
        value.map_err(StoreError::database(self.doing))
    }
}

/// Types that can be read from a row: a tuple of the columns in order, or a struct ([`from_row`]).
pub(super) trait FromRow: Sized {
    fn from_row(row: &Row) -> Result<Self, Error>;
}

/// Reads a struct from the columns that have the names of its fields.
macro_rules! from_row {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::store::session::FromRow for $name {
            fn from_row(row: &tokio_postgres::Row) -> Result<$name, tokio_postgres::Error> {
                Ok($name { $($field: row.try_get(stringify!($field))?),* })
            }
        }
    };
}
pub(super) use from_row;

macro_rules! tuples {
    () => {};
    ($first:ident $($rest:ident)*) => {
        impl<$first: FromSqlOwned, $($rest: FromSqlOwned),*> FromRow for ($first, $($rest,)*) {
            fn from_row(row: &Row) -> Result<Self, Error> {
                let mut column = 0..;
                let mut next = || column.next().unwrap_or_default();
                Ok((row.try_get::<_, $first>(next())?, $(row.try_get::<_, $rest>(next())?,)*))
            }
        }
        tuples!($($rest)*);
    };
}

tuples!(A B C D E F G H I J);

#[cfg(test)]
mod tests {
    use tokio_postgres::types::{Json, Type};
    use uuid::Uuid;

    use super::Parameter;

    #[test]
    fn parameter_has_the_type_of_its_value() {
        let (text, texts, bytes) = ("a", vec!["a".to_owned()], vec![&b"a"[..]]);
        let (ids, number, json) = (Some(&[Uuid::nil()][..]), None::<i64>, Json(&text));
        let parameters: &[Parameter<'_>] = params![text, texts, bytes, ids, number, json, true, 1.5];
        let types: Vec<Type> = parameters.iter().map(|(_, data_type)| data_type.clone()).collect();
        let [text, texts, bytes, ids] = [Type::TEXT, Type::TEXT_ARRAY, Type::BYTEA_ARRAY, Type::UUID_ARRAY];
        assert_eq!(types, [text, texts, bytes, ids, Type::INT8, Type::JSONB, Type::BOOL, Type::FLOAT8]);
    }
}
