//! The names that a type can be read from, as serde's derived code knows them.

use serde::{
    Deserialize, Deserializer,
    de::{Visitor, value::Error},
    forward_to_deserialize_any,
};

/// The fields of a struct, as they are spelled in a file.
pub(crate) fn fields<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
    names::<T>()
}

/// The variants of an enum, as they are spelled in a file.
pub(crate) fn variants<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
    names::<T>()
}

fn names<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
    let mut names = Vec::new();
    // Reading always fails: it ends where the type has told its names.
    assert!(T::deserialize(Spy(&mut names)).is_err());
    assert!(!names.is_empty(), "{} is neither a struct nor an enum", std::any::type_name::<T>());
    names
}

/// Reads nothing and keeps what the type asks for.
struct Spy<'a>(&'a mut Vec<&'static str>);

impl<'de> Deserializer<'de> for Spy<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(serde::de::Error::custom("nothing to read"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.extend(fields);
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.extend(variants);
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

#[test]
fn names_are_those_of_the_file_and_not_those_of_the_code() {
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its names matter")]
    struct Sample {
        #[serde(rename = "other")]
        one: u32,
        #[serde(default, skip_serializing)]
        two: Option<String>,
    }

    assert_eq!(fields::<Sample>(), ["other", "two"]);
}
