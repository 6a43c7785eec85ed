//! Enums that users write and that core has too: one list of variants makes the Kubernetes enum and both conversions.

/// Defines an enum of a spec with the same variants as an enum of core.
///
/// The macro defines the enum with serde and its schema, and both `From` conversions. Each variant is written by its
/// own name, and its doc comment is its description. A variant that only one of the enums has does not compile. This
/// keeps core free of serde.
macro_rules! wire_enum {
    (
        $(#[$attribute:meta])*
        pub enum $Wire:ident = $Core:path {
            $($(#[$about:meta])* $Word:ident),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq,
            ::serde::Serialize, ::serde::Deserialize, ::schemars::JsonSchema,
        )]
        pub enum $Wire {
            $($(#[$about])* $Word),+
        }

        impl From<$Wire> for $Core {
            fn from(wire: $Wire) -> Self {
                match wire {
                    $($Wire::$Word => Self::$Word),+
                }
            }
        }

        impl From<$Core> for $Wire {
            fn from(core: $Core) -> Self {
                type Core = $Core;
                match core {
                    $(Core::$Word => Self::$Word),+
                }
            }
        }
    };
}

pub(crate) use wire_enum;
