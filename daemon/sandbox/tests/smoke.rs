//! smoke
mod common;
use common::*;
#[test]
fn smoke() {
    let f = Fixture::new();
    let mut s = f.open();
    eprintln!("{:?}", s.notes());
    let o = sh(&mut s, &f.root, "id; pwd; ls -la / /dev /proc/sys/kernel/pid_max . $HOME; cat /proc/self/status | grep -E 'Cap|Sec|NoNew'; cat /proc/mounts; ip a; cat /proc/sys/kernel/pid_max; echo x > kept.txt; cat kept.txt; ps aux");
    eprintln!("{:?} {}\n{:?} {:?}", o.state, text(&o), o.wall, o.cpu);
    let o = sh(&mut s, &f.root, "time python3 -c 'print(1)'; cargo --version; which python3; node -e 'console.log(2)'; git --version; git init; git status");
    eprintln!("{:?} {}\n{:?} {:?}", o.state, text(&o), o.wall, o.cpu);
    panic!()
}
