//! Closed sets of words. A macro derives everything that a word needs from one table, so that no word is written twice.

/// Defines an enum whose variants are words of the API, of a journal or of a metric.
///
/// Each variant is its own name, unless another one follows with `as`. A sentence may follow with `=>`; either every variant
/// has one or none has. The macro makes:
///
/// * `ALL`: every variant, in the order of the table,
/// * `name()`: the word as people and programs read it, also by `Display`,
/// * `parse(text)`: the variant with this name; `None` if there is none,
/// * `sentence()`: what the word means, without a full stop.
///
/// ```
/// secret_rotation_core::words! {
///     /// The color of a traffic light.
///     #[derive(Clone, Copy, Debug, PartialEq, Eq)]
///     pub enum Light {
///         /// Drive.
///         Green => "the way is free",
///         /// Stop.
///         Red as "RED" => "the way is blocked",
///     }
/// }
/// assert_eq!(Light::ALL, [Light::Green, Light::Red]);
/// assert_eq!(Light::parse("RED"), Some(Light::Red));
/// assert_eq!(Light::parse("Red"), None);
/// assert_eq!(Light::Red.sentence(), "the way is blocked");
/// assert_eq!(Light::Green.to_string(), "Green");
/// ```
#[macro_export]
macro_rules! words {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $Set:ident {
            $($(#[$about:meta])* $Word:ident $(as $name:literal)? => $sentence:literal),+ $(,)?
        }
    ) => {
        $crate::words! {
            $(#[$attribute])*
            $visibility enum $Set {
                $($(#[$about])* $Word $(as $name)?),+
            }
        }

        impl $Set {
            /// Returns what the word means, in a sentence without a full stop.
            $visibility const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$Word => $sentence),+
                }
            }
        }
    };
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $Set:ident {
            $($(#[$about:meta])* $Word:ident $(as $name:literal)?),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        $visibility enum $Set {
            $($(#[$about])* $Word),+
        }

        impl $Set {
            /// Every variant, in the order of their table.
            $visibility const ALL: [Self; [$($Set::$Word),+].len()] = [$(Self::$Word),+];

            /// Returns the word as people and programs read it. It never changes.
            $visibility const fn name(self) -> &'static str {
                match self {
                    $(Self::$Word => $crate::words!(@name $Word $($name)?)),+
                }
            }

            /// Returns the variant with this name; `None` if there is none.
            #[allow(dead_code, reason = "not every set of words is read back")]
            $visibility fn parse(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|word| word.name() == name)
            }
        }

        impl ::core::fmt::Display for $Set {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
    (@name $Word:ident) => {
        stringify!($Word)
    };
    (@name $Word:ident $name:literal) => {
        $name
    };
}
