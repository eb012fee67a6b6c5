//! Plug-ins that aren't built in: what they may do, and how they are loaded, replaced and kept.

mod capabilities;
mod hostile_plugins;
mod hot_reload;
mod lean;
mod plugin_commands;
mod plugin_lock;
mod plugins_js_python;
mod scripts;
