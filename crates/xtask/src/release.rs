//! Files of a release besides its programs: notes, the krew manifest and the bill of materials.
//!
//! The workflow `.github/workflows/release.yaml` builds, signs and publishes the release.

pub mod krew;
pub mod notes;
pub mod sbom;
