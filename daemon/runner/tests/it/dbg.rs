use crate::support::*;
#[test]
fn dbg() {
    let w = Workspace::python(&[("value.py","V=1\n"),("sub/x.txt","a"),("test_v.py","")]);
    let p = w.project();
    let mut s = w.sandbox(&p);
    eprintln!("layer {:?} notes {:?}", s.layer(), s.notes());
    let c = greenlit_sandbox::Command { argv: vec!["/bin/sh".into(),"-c".into(),"id; ls -lan . sub; echo b > sub/x.txt; echo rc $?; echo b >> value.py; echo rc $?; echo n > new; echo rc $?; mkdir d; echo rc $?; rm sub/x.txt; echo rc $?; cat /proc/self/mounts | head -30".into()], cwd: w.root.clone(), env: w.environment.allowed(), stdin: vec![], wall: LONG, cpu: None };
    let o = s.exec(&c).unwrap();
    panic!("{} {}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr));
}
