//! Enums that users write and core has too: one table makes the Kubernetes side and the way to core and back.

/// Defines an enum of a spec with the same variants as one of core.
///
/// The macro makes the enum with serde and schema, in which each variant is its own name and its doc comment is the
/// description, and both `From`. A variant that only one side has does not compile. Core stays free of serde this way.
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
