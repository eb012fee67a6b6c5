//! A field of the settings beside the keys that it is of, so that two settings can be compared key
//! by key.

/// How a field of `T` is compared and carried over.
pub(crate) struct Field<T: 'static> {
    /// The first one names the field.
    pub(crate) keys: &'static [&'static str],
    pub(crate) is_same: fn(&T, &T) -> bool,
    /// Puts what the second holds into the first.
    pub(crate) carry: fn(&mut T, &T),
}

/// The keys of each field of a type; after `and` stand those that are no key's own.
macro_rules! fields {
    ($of:ident { $($field:ident: $keys:expr),* $(,)? } and { $($other:ident),* }) => {
        impl $of {
            pub(crate) const FIELDS: &'static [crate::field::Field<Self>] = &[$(
                crate::field::Field {
                    keys: &$keys,
                    is_same: |one, other| one.$field == other.$field,
                    carry: |to, from| to.$field.clone_from(&from.$field),
                },
            )*];
        }

        // Names every field, or doesn't compile.
        const _: fn(&$of) = |all| {
            let $of { $($field: _,)* $($other: _,)* } = all;
        };
    };
}

pub(crate) use fields;
