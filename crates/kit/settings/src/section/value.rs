//! A value of a section as serde reads it: as strictly as the kit reads its own. `2.5` and `"2"` are no whole numbers,
//! and `on` is no `true`.

use std::fmt;

use config::ValueKind;
use serde::de::{
    self, Deserializer, IntoDeserializer, Visitor,
    value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer},
};

use crate::reading::layers::Raw;
use crate::reading::parse;

/// What is wrong with a value.
#[derive(Debug)]
pub(super) enum Problem {
    /// It is of another type; this says of which it must be, and does not quote it.
    Type(String),
    /// Something else; this may quote it.
    Text(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(text) | Self::Text(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Problem {}

impl de::Error for Problem {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Text(text.to_string())
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Type(format!("must be {expected}"))
    }
}

/// A value, or one in it.
#[derive(Clone)]
pub(super) struct Value(pub(super) Raw);

impl From<config::Value> for Value {
    fn from(value: config::Value) -> Self {
        Self(Raw::Typed(value.kind))
    }
}

impl Value {
    fn refuse<T>(&self, allowed: &str, quoted: bool) -> Result<T, Problem> {
        self.0.refuse(allowed, quoted).map_err(Problem::Type)
    }

    /// A whole number of a type that has those from `min` to `max`.
    fn whole<T: TryFrom<i128> + fmt::Display>(&self, min: &T, max: &T) -> Result<T, Problem> {
        let number = match &self.0 {
            Raw::Typed(ValueKind::I64(number)) => Some(i128::from(*number)),
            Raw::Typed(ValueKind::U64(number)) => Some(i128::from(*number)),
            Raw::Typed(ValueKind::I128(number)) => Some(*number),
            Raw::Typed(ValueKind::U128(number)) => i128::try_from(*number).ok(),
            Raw::Typed(_) => None,
            Raw::Text(text) => text.to_str().and_then(|text| {
                let digits = text.strip_prefix('-').unwrap_or(text);
                let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
                text.parse().ok().filter(|_| is_number)
            }),
        };
        number
            .and_then(|number| T::try_from(number).ok())
            .map_or_else(
                || {
                    self.refuse(
                        &format!("must be a whole number from {min} to {max}"),
                        false,
                    )
                },
                Ok,
            )
    }

    fn number(&self) -> Result<f64, Problem> {
        let number = match &self.0 {
            Raw::Typed(ValueKind::Float(number)) => Some(*number),
            // Those that are no fraction are written without a point, too.
            Raw::Typed(ValueKind::I64(number)) => number.to_string().parse().ok(),
            Raw::Typed(_) => None,
            Raw::Text(text) => {
                let number = text.to_str().and_then(|text| text.parse().ok());
                number.filter(|number: &f64| number.is_finite())
            }
        };
        number.map_or_else(|| self.refuse("must be a number", false), Ok)
    }
}

impl IntoDeserializer<'_, Problem> for Value {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

type Table = config::Map<String, config::Value>;
type Members = std::vec::IntoIter<(Value, Value)>;

/// The members of a table. A name may be of any type that a text in the environment may be.
fn members(table: Table) -> MapDeserializer<'static, Members, Problem> {
    let member =
        |(name, value): (String, config::Value)| (Value(Raw::Text(name.into())), value.into());
    let members: Vec<_> = table.into_iter().map(member).collect();
    MapDeserializer::new(members.into_iter())
}

macro_rules! whole_numbers {
    ($($deserialize:ident $visit:ident $type:ty;)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
            visitor.$visit(self.whole(&<$type>::MIN, &<$type>::MAX)?)
        }
    )*};
}

macro_rules! as_by {
    ($by:ident: $($deserialize:ident)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
            self.$by(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Value {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.0 {
            Raw::Typed(ValueKind::Nil) => visitor.visit_unit(),
            Raw::Typed(ValueKind::Boolean(value)) => visitor.visit_bool(value),
            Raw::Typed(ValueKind::I64(value)) => visitor.visit_i64(value),
            Raw::Typed(ValueKind::I128(value)) => visitor.visit_i128(value),
            Raw::Typed(ValueKind::U64(value)) => visitor.visit_u64(value),
            Raw::Typed(ValueKind::U128(value)) => visitor.visit_u128(value),
            Raw::Typed(ValueKind::Float(value)) => visitor.visit_f64(value),
            Raw::Typed(ValueKind::String(_)) | Raw::Text(_) => self.deserialize_string(visitor),
            Raw::Typed(ValueKind::Array(_)) => self.deserialize_seq(visitor),
            Raw::Typed(ValueKind::Table(_)) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_bool(parse::boolean(&self.0).map_err(Problem::Type)?)
    }

    whole_numbers! {
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_i128 visit_i128 i128;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_u128 visit_u128 u128;
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_f64(self.number()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.0.text() {
            Some(text) => visitor.visit_str(text),
            None => self.refuse("must be text", true),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.0 {
            Raw::Typed(ValueKind::Nil) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let Raw::Typed(ValueKind::Array(items)) = self.0 else {
            return self.refuse("must be a list", false);
        };
        let mut items = SeqDeserializer::new(items.into_iter().map(Self::from));
        let read = visitor.visit_seq(&mut items)?;
        items.end()?;
        Ok(read)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let Raw::Typed(ValueKind::Table(table)) = self.0 else {
            return self.refuse("must be a table", false);
        };
        visitor.visit_map(members(table))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        match self.0 {
            Raw::Typed(ValueKind::Table(table)) => {
                visitor.visit_enum(MapAccessDeserializer::new(members(table)))
            }
            _ => match self.0.text() {
                Some(text) => visitor.visit_enum(text.into_deserializer()),
                None => self.refuse("must be text", true),
            },
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.deserialize_map(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.deserialize_any(visitor)
    }

    as_by! { deserialize_f64: deserialize_f32 }
    as_by! { deserialize_string: deserialize_str deserialize_char deserialize_identifier }
    as_by! { deserialize_any: deserialize_unit deserialize_bytes deserialize_byte_buf deserialize_ignored_any }
}
