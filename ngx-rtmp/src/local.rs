//! State that only one event loop touches.

use std::{cell::RefCell, mem::ManuallyDrop, thread::LocalKey};

/// State of one process that only its event loop touches. [`local!`](crate::local!) declares it.
///
/// On another thread, the same name refers to a value of that thread.
pub struct Local<T: 'static>(&'static LocalKey<Slot<T>>);

/// The value of a [`Local`]. It is not dropped when a thread or the process ends, because the value may refer to memory that nginx has
/// freed by then.
#[doc(hidden)]
pub type Slot<T> = RefCell<ManuallyDrop<T>>;

/// Declares `static NAME: TYPE = VALUE;` for state that only the event loop touches ([`Local`]). A forked process gets a copy of the value.
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

    /// Calls `work` with the value. Calls do not nest: `work` must not call back into the same `Local`.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        self.0.with_borrow_mut(|value| work(value))
    }
}
