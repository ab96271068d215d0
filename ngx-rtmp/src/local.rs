//! State that one event loop alone touches.

use std::{cell::RefCell, mem::ManuallyDrop, thread::LocalKey};

/// State of one process, touched by its event loop and nobody else: [`local!`](crate::local!) declares it.
///
/// Another thread that names it finds a value of its own.
pub struct Local<T: 'static>(&'static LocalKey<Slot<T>>);

/// What is behind a [`Local`]. Nothing is dropped when a thread or the process ends: what refers to nginx's memory would
/// come too late.
#[doc(hidden)]
pub type Slot<T> = RefCell<ManuallyDrop<T>>;

/// `static NAME: TYPE = VALUE;` for state that the event loop alone touches ([`Local`]).
/// A process that is forked takes the value along.
#[macro_export]
macro_rules! local {
    ($(#[$meta:meta])* $vis:vis static $name:ident: $type:ty = $value:expr;) => {
        $(#[$meta])*
        $vis static $name: $crate::local::Local<$type> = {
            ::std::thread_local! {
                static VALUE: $crate::local::Slot<$type> =
                    const { ::std::cell::RefCell::new(::std::mem::ManuallyDrop::new($value)) };
            }
            $crate::local::Local::new(&VALUE)
        };
    };
}

impl<T> Local<T> {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(key: &'static LocalKey<Slot<T>>) -> Self {
        Local(key)
    }

    /// Works on the value. Calls do not nest: `work` must not call back into the same `Local`.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        self.0.with_borrow_mut(|value| work(value))
    }
}
